"""`cnet extract-lora`: writes a ControlNet as a Control-LoRA, and prints each layer's loss."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..checkpoints import load_controlnet
from ..checkpoints.base import encoder_weights
from ..checkpoints.container.files import write_tensors
from ..checkpoints.formats.control_lora import LayerLoss, extract_low_rank
from ..checkpoints.metadata import metadata_of
from .output import check_file
from .progress import counter

if TYPE_CHECKING:
    from .subparsers import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    about = "write a ControlNet as a Control-LoRA (low-rank differences from its base)"
    parser = subparsers.add_parser("extract-lora", help=about, description=about)
    parser.add_argument("input", metavar="IN", help="a ControlNet of any format")
    parser.add_argument("output", metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("--base", required=True, help="the base model it was trained on")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--rank", type=int, help="singular values to keep per layer")
    size.add_argument("--energy", type=float, help="fraction of the difference to keep, 0..1")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the Control-LoRA, prints each layer's loss, and returns the exit status."""
    check_file(args.output)
    net = load_controlnet(args.input, base=args.base)
    tensors, losses = extract_low_rank(
        net.state_dict(),
        encoder_weights(args.base),
        args.input,
        rank=args.rank,
        energy=args.energy,
        progress=counter("factoring"),
    )
    write_tensors(tensors, args.output, metadata_of(net), counter("writing"))
    print(json.dumps([asdict(loss) for loss in losses]) if args.json else _report(losses))
    return 0


def _report(losses: list[LayerLoss]) -> str:
    worst = max((loss.loss for loss in losses), default=0.0)
    lines = [f"{loss.loss:8.2%}  rank {loss.rank:4d}  {loss.key}" for loss in losses]
    most = f"{worst:8.2%}  at most, relative to a layer's difference from the base"
    return "\n".join([*lines, most])
