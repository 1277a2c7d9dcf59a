"""Packs a run's parts into the embedded files: `python docs/lab/world/pack_weights.py RUN [--out FOLDER]`.

Float16 safetensors with the config in the metadata.
"""

import argparse
import json
from pathlib import Path

import torch
from part_files import read_part
from torch import Tensor

from cnet_core.checkpoints.container.files import write_tensors
from cnet_core.checkpoints.metadata import CONFIG_KEY
from cnet_core.tiny.model import TINY, WEIGHTS


def main() -> None:
    """Writes the four files of `cnet_core/tiny/weights`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run's --folder or --out")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    parts = {name: _read(args.run, name) for name in ("autoencoder", "base", "control_net")}
    config = {CONFIG_KEY: json.dumps(TINY.to_dict())}
    _write(args.out / "autoencoder.safetensors", parts["autoencoder"], {})
    _write(args.out / "unet.safetensors", _take(parts["base"], "unet."), config)
    _write(args.out / "text.safetensors", _take(parts["base"], "text."), {})
    _write(args.out / "control_net.safetensors", parts["control_net"], config)


def _read(run: Path, name: str) -> dict[str, Tensor]:
    tensors = read_part(run, name)
    if tensors is None:
        raise SystemExit(
            f"{run} has no {name}: give the folder of a run, or what came back from one"
        )
    return tensors


def _take(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    write_tensors({k: v.to(torch.float16) for k, v in tensors.items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
