"""The options of `cnet train` for its base, its start and its data."""

import argparse

from ..training.made_hints import HINT_MAKERS


def add_origin_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for base, start and data; config.json keeps all of them."""
    parser.add_argument(
        "--tiny", action="store_true", default=None, help="use the embedded model and its own data"
    )
    parser.add_argument("--base", help="a diffusers folder, or an SD1.x, SD2.x or SDXL checkpoint")
    parser.add_argument(
        "--config", metavar="DIR", help="tokenizer and configs for a checkpoint file"
    )
    parser.add_argument(
        "--controlnet",
        metavar="FILE",
        help="train this ControlNet further, of any format (default: a new copy of the base's encoder)",
    )
    group = parser.add_argument_group("data (docs/training.md shows every layout)")
    group.add_argument("--data", help="a folder of samples, or its list, table or tar file")
    group.add_argument(
        "--hint", choices=list(HINT_MAKERS), help="make the hints of samples that have none"
    )
    group.add_argument(
        "--validation", metavar="DATA", help="samples for the meter and the previews alone"
    )
    group.add_argument("--max-samples", type=int, metavar="N", help="use the first N samples")
    group.add_argument(
        "--skip-bad",
        action="store_true",
        default=None,
        help="skip pictures that cannot be used",
    )
