"""The name of a config's family; an ordered table, specific before broad."""

from collections.abc import Callable

from ..nets.config import SD15, SD21, SDXL, UNetConfig

#: Width of y in SDXL's refiner.
REFINER_Y = 2560


def _is_xl(config: UNetConfig) -> bool:
    return config.y_dim == SDXL.y_dim and config.context_dim == SDXL.context_dim


def _xl(*depths: int, middle: int) -> Callable[[UNetConfig], bool]:
    """An SDXL of three levels with these depths."""
    blocks = tuple((depth, depth) for depth in depths)
    return lambda config: (
        _is_xl(config) and config.depths == blocks and config.middle_depth == middle
    )


FAMILIES: tuple[tuple[str, Callable[[UNetConfig], bool]], ...] = (
    ("SDXL", _xl(0, 2, 10, middle=10)),
    ("SDXL mid", _xl(0, 0, 1, middle=1)),
    ("SDXL small", _xl(0, 0, 0, middle=0)),
    ("SDXL, pruned (like SSD-1B)", _is_xl),
    ("SDXL refiner", lambda config: config.y_dim == REFINER_Y),
    ("SD2.x", lambda config: config.y_dim is None and config.context_dim == SD21.context_dim),
    ("SD1.x", lambda config: config.y_dim is None and config.context_dim == SD15.context_dim),
)


def family_of(config: UNetConfig) -> str:
    """Returns 'SD1.x', 'SD2.x', 'SDXL', 'SDXL mid' …; or an unknown family with the width of its text."""
    for name, belongs in FAMILIES:
        if belongs(config):
            return name
    return f"an unknown family (text width {config.context_dim})"
