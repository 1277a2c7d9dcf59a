"""Keys of a checkpoint: the prefix of a UNet's, and those that a module misses or does not expect."""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from torch import Tensor, nn

#: Prefixes of a UNet's keys: in checkpoints, in ComfyUI's models, in training programs, alone.
UNET_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "unet.", "")


def unet_prefix(keys: Collection[str], anchors: Sequence[str]) -> str | None:
    """Returns the prefix of a UNet's keys, one of which is an anchor; None if there is no UNet."""
    found = (p for p in UNET_PREFIXES if any(f"{p}{anchor}" in keys for anchor in anchors))
    return next(found, None)


def check_keys(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    name: str,
    *,
    only: Collection[str] | None = None,
) -> None:
    """Raises ValueError that counts and shows what is missing, unexpected or of another shape.

    Args:
        module: what the tensors belong to.
        tensors: by the module's keys.
        name: what the message calls them.
        only: the keys that count; None is all of the module's.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    may_lack = () if only is None else tuple(module.state_dict().keys() - set(only))
    found = key_problems(module, shapes, may_lack)
    if found:
        raise ValueError(f"{name} does not fit a {type(module).__name__}: {'; '.join(found)}.")


def key_problems(
    module: nn.Module, shapes: Mapping[str, tuple[int, ...]], may_lack: tuple[str, ...] = ()
) -> list[str]:
    """Returns what is missing, unexpected or of another shape than in `module`, a line for each kind.

    Args:
        may_lack: prefixes of keys that may be missing.
    """
    want = cast(Mapping[str, Tensor], module.state_dict(keep_vars=True))
    problems = {
        "missing": sorted(k for k in want.keys() - shapes.keys() if not k.startswith(may_lack)),
        "unexpected": sorted(shapes.keys() - want.keys()),
        "of another shape": sorted(
            k for k in want.keys() & shapes.keys() if want[k].shape != shapes[k]
        ),
    }
    return [
        f"{len(keys)} {what} ({', '.join(repr(k[:80]) for k in keys[:3])}{' …' if keys[3:] else ''})"
        for what, keys in problems.items()
        if keys
    ]
