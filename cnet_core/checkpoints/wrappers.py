"""What training programs add to a net's keys: torch.compile, DDP and FSDP inside them, owners in front of them."""

from collections.abc import Collection

from torch import Tensor, nn

from ..nets.offloaded import state_of

#: Parts of a key that are not layers of a net: torch.compile's, DDP's, FSDP's, activation checkpointing's.
TRANSPARENT = frozenset(
    ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
)
#: Keys that every ControlNet has, in ldm's names and in diffusers'.
ANCHORS = ("zero_convs.0.0.weight", "controlnet_cond_embedding.conv_in.weight")
#: Names of a ControlNet inside a larger module; they win if a file holds further copies.
OWNERS = frozenset(("control_model", "controlnet", "control_net", "net"))


def plain_names(keys: Collection[str]) -> dict[str, str]:
    """Returns key without wrappers -> key; unchanged if two keys would become one."""
    names = {_plain(key): key for key in keys}
    return names if len(names) == len(keys) else {key: key for key in keys}


def plain_weights(module: nn.Module) -> dict[str, Tensor]:
    """Returns the module's weights by keys without wrappers, even if only parts were compiled or wrapped."""
    state = state_of(module)
    return {plain: state[key] for plain, key in plain_names(state).items()}


def unwrap_module(module: nn.Module) -> nn.Module:
    """Returns the module inside torch.compile, DDP and FSDP, in any order."""
    while True:
        inner = next((m for name, m in module.named_children() if name in TRANSPARENT), None)
        if inner is None:
            return module
        module = inner


def control_prefixes(keys: Collection[str]) -> list[str]:
    """Returns the prefix of each ControlNet's keys in a file: "", "control_model.", "controlnet.net." …

    Copies under other names than OWNERS, such as averaged weights, do not count if one has such a name.
    """
    if any(anchor in keys for anchor in ANCHORS):
        return [""]
    found = {key[: -len(a)] for key in keys for a in ANCHORS if key.endswith(f".{a}")}
    owned = [prefix for prefix in found if OWNERS.issuperset(prefix[:-1].split("."))]
    return sorted(owned or found)


def control_names(keys: Collection[str]) -> dict[str, str]:
    """Returns key -> key without the ControlNet's prefix; in files with a prefix only for the keys that have it."""
    prefixes = control_prefixes(keys)
    if len(prefixes) != 1:
        return {key: key for key in keys}
    (prefix,) = prefixes
    return {key: key.removeprefix(prefix) for key in keys if key.startswith(prefix)}


def _plain(key: str) -> str:
    parts = key.split(".")
    if TRANSPARENT.isdisjoint(parts):
        return key
    return ".".join(part for part in parts if part not in TRANSPARENT)
