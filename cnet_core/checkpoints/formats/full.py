"""A full ldm checkpoint: the ControlNet with the UNet, autoencoder and text encoder it was trained with."""

from .format import Format, Keys
from .ldm import LDM


def _matches(keys: Keys) -> bool:
    return LDM.matches(keys) and any(key.startswith("model.diffusion_model.") for key in keys)


FULL = Format("full ldm checkpoint", _matches)
