"""`cnet convert`: a ControlNet from any format into one of the layouts that are written."""

import argparse
from typing import TYPE_CHECKING

import torch

from ..checkpoints import load_controlnet, save_controlnet
from ..checkpoints.formats import LAYOUTS, layout_format
from ..checkpoints.source import dtype_name
from .output import check_file, check_file_or_folder
from .progress import counter

if TYPE_CHECKING:
    from .subparsers import Subparsers

#: The values of --dtype.
DTYPES = {dtype_name(d): d for d in (torch.float32, torch.float16, torch.bfloat16)}


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    about = "write a ControlNet in another layout"
    parser = subparsers.add_parser("convert", help=about, description=about)
    parser.add_argument("input", metavar="IN", help="a ControlNet of any format")
    parser.add_argument(
        "output", metavar="OUT", help="a .safetensors file, or a folder for diffusers"
    )
    parser.add_argument("--layout", required=True, choices=LAYOUTS)
    parser.add_argument(
        "--base", help="the base model, to read or write differences and to read Control-LoRAs"
    )
    parser.add_argument(
        "--pooled", action="store_true", default=None, help='IN is a pooled ("shuffle") model'
    )
    parser.add_argument("--dtype", choices=DTYPES, help="dtype of the weights (default: unchanged)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Converts and returns the exit status."""
    format = layout_format(args.layout)
    (check_file_or_folder if format.folder_config else check_file)(args.output)
    dtype = DTYPES.get(args.dtype)
    net = load_controlnet(args.input, base=args.base, pooled=args.pooled, dtype=dtype)
    base = args.base if format.needs_base else None
    save_controlnet(net, args.output, layout=args.layout, base=base, progress=counter("writing"))
    print(f"{args.output}: {args.layout}")
    return 0
