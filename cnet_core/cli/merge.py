"""`cnet merge`: adds a LoRA of a ControlNet to that ControlNet."""

import argparse
from typing import TYPE_CHECKING

from ..checkpoints import identify, save_controlnet
from ..checkpoints.low_rank import merge_lora
from .output import check_file
from .progress import counter

if TYPE_CHECKING:
    from .subparsers import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    about = "add a LoRA of a ControlNet to that ControlNet"
    parser = subparsers.add_parser("merge", help=about, description=about)
    parser.add_argument("base", metavar="CONTROLNET", help="the ControlNet it was trained on")
    parser.add_argument("lora", metavar="LORA", help="what `cnet train --lora-rank` wrote")
    parser.add_argument("output", metavar="OUT", help="the .safetensors file to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Merges and returns the exit status."""
    check_file(args.output)
    net = merge_lora(args.base, args.lora)
    save_controlnet(net, args.output, progress=counter("writing"))
    fp8 = any(name.startswith("float8") for name in identify(args.base).dtypes)
    note = "; its weights in fp8 became float16, to keep what was trained" if fp8 else ""
    print(f"{args.output}: {args.base} with {args.lora}{note}")
    return 0
