"""Packs trained weights into the embedded files: `python -m cnet_core.tiny.recipe_pack --runs DIR`.

Float16 safetensors with the config in the metadata; the folder's names are those that the recipes write.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.container.files import read_tensors, write_tensors
from ..checkpoints.metadata import CONFIG_KEY
from .model import TINY, WEIGHTS


def main() -> None:
    """Writes the four files of `cnet_core/tiny/weights`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--unet", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--control-net", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    config = {CONFIG_KEY: json.dumps(TINY.to_dict())}
    write_tensors(_half(args.autoencoder), args.out / "autoencoder.safetensors", {})
    write_tensors(_half(args.unet), args.out / "unet.safetensors", config)
    write_tensors(_half(args.text), args.out / "text.safetensors", {})
    write_tensors(_half(args.control_net), args.out / "control_net.safetensors", config)
    for file in sorted(args.out.glob("*.safetensors")):
        print(f"{file}: {file.stat().st_size / 2**20:.2f} MB")


def _half(path: Path) -> dict[str, Tensor]:
    return {key: value.to(torch.float16) for key, value in read_tensors(path)[0].items()}


if __name__ == "__main__":
    main()
