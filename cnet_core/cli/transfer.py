"""`cnet transfer`: moves a ControlNet to another base model of its family: CN + base' - base."""

import argparse
from typing import TYPE_CHECKING

from ..checkpoints import load_controlnet, save_controlnet
from ..checkpoints.base import encoder_weights, move_to_base
from .output import check_file
from .progress import counter

if TYPE_CHECKING:
    from .subparsers import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    about = "move a ControlNet to another base model (CN + base' - base)"
    parser = subparsers.add_parser("transfer", help=about, description=about)
    parser.add_argument("input", metavar="IN", help="a ControlNet of any format")
    parser.add_argument("output", metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("--base", required=True, help="the base model it was trained on")
    parser.add_argument("--new-base", required=True, help="the base model to move it to")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Moves the ControlNet and returns the exit status."""
    check_file(args.output)
    net = load_controlnet(args.input, base=args.base)
    base, new_base = encoder_weights(args.base), encoder_weights(args.new_base)
    net.load_state_dict(move_to_base(net.state_dict(), base, new_base, args.input), assign=True)
    save_controlnet(net, args.output, progress=counter("writing"))
    print(f"{args.output}: moved to {args.new_base}")
    return 0
