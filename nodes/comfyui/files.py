"""ControlNet files in ComfyUI's folders, loaded with its layers and memory management."""

import hashlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import comfy.model_management
import folder_paths
import torch
from torch import Tensor

from ... import cnet_core as cn
from ...cnet_core.checkpoints import BaseError
from ...cnet_core.checkpoints.glance import glance
from .control_net import CondControl
from .file_kinds import FOLDER
from .host_types import BaseModel, Model
from .loaded import LoadedNet, cast_weights, uses_plain_weights
from .ops import OPS
from .patcher import patcher_of

#: The only entry of the list of files when there are none.
NO_FILE = "(no file in models/controlnet)"
COMPUTE_DTYPES = [torch.float16, torch.bfloat16, torch.float32]
#: File name endings that mean for ComfyUI: average the residuals over the picture.
POOLED_NAMES = ("_shuffle", "_shuffle_fp16")
UNET_PREFIX = "diffusion_model."
#: How many nets that have a `base_model` and do not need it stay in memory with a model.
KEPT_NETS = 2
#: BaseModel -> the nets that were read for it: path, state and settings -> net. They go with the model.
_READ_FOR: WeakKeyDictionary[BaseModel, dict[tuple[object, ...], LoadedNet]] = WeakKeyDictionary()
#: The nodes' input for the base model of difference files.
BASE_INPUT = "base_model"


def list_files() -> list[str]:
    """Returns the names of all files in the `controlnet` folders, or one entry that says there are none."""
    return folder_paths.get_filename_list(FOLDER) or [NO_FILE]


def file_state(name: str) -> str:
    """Returns a text that changes when the file does."""
    path = path_of(name)
    stat = path.stat()
    return hashlib.sha256(f"{path} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()


def path_of(name: str) -> Path:
    """Returns the path of a file in the list.

    Raises:
        ValueError: the name is the entry for an empty list.
    """
    if name == NO_FILE:
        raise ValueError(
            "There is no ControlNet yet: put a file into models/controlnet, press R in the graph, and choose it."
        )
    return Path(folder_paths.get_full_path_or_raise(FOLDER, name))


def load_file(name: str, base_model: Model | None = None, compile: bool = False) -> CondControl:
    """Returns the CONTROL_NET of a file; only difference files need `base_model` (MODEL).

    With `compile` its steps run through torch.compile.
    """
    pooled = True if Path(name).stem.endswith(POOLED_NAMES) else None
    path = path_of(name)
    try:
        if base_model is None:
            return CondControl(load_path(path, None, pooled, compile))
        if glance(path).needs_base:
            return CondControl(load_path(path, unet_weights(base_model), pooled, compile))
        return CondControl(_load_once(path, file_state(name), pooled, compile, base_model.model))
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), name)) from error


def _load_once(
    path: Path, state: str, pooled: bool | None, compile: bool, base: BaseModel
) -> LoadedNet:
    """As load_path; ComfyUI loads again at each change above `base_model`, though the file did not change."""
    nets, key = _READ_FOR.setdefault(base, {}), (path, state, pooled, compile)
    if key not in nets:
        while len(nets) >= KEPT_NETS:
            del nets[next(iter(nets))]
        nets[key] = load_path(path, None, pooled, compile)
    return nets[key]


def load_path(
    path: str | Path,
    base: Mapping[str, Tensor] | None = None,
    pooled: bool | None = None,
    compile: bool = False,
) -> LoadedNet:
    """Returns the ControlNet of a file under ComfyUI's memory management; arguments as in cnet_core.load_controlnet."""
    with words_of_nodes():
        net = cn.load_controlnet(path, base=base, pooled=pooled, ops=OPS)
    if compile:
        net.compile_steps(allows=uses_plain_weights)
    return manage_net(net)


def manage_net(net: cn.ControlNet) -> LoadedNet:
    """Returns a net of ComfyUI's layers under ComfyUI's memory management.

    Its weights have the dtype that ComfyUI would choose, and it computes in one that the device supports. Its layers
    cast only if these two differ, or if ComfyUI makes them cast to offload weights.
    """
    management = comfy.model_management
    device = management.get_torch_device()
    stored = next(net.parameters()).dtype
    dtype = management.unet_dtype(
        model_params=-1, supported_dtypes=COMPUTE_DTYPES, weight_dtype=stored
    )
    cast = management.unet_manual_cast(dtype, device)
    net = net.to(dtype).requires_grad_(False)
    if cast is not None:
        cast_weights(net)
    patcher = patcher_of(net, device, management.unet_offload_device())
    return LoadedNet(net, patcher, dtype if cast is None else cast)


def describe_file(name: str) -> str:
    """Returns what a file is, in a few lines."""
    path = path_of(name)
    return str(cn.identify(path, base_name=BASE_INPUT)).replace(str(path), name)


def unet_weights(model: Model) -> dict[str, Tensor]:
    """Returns the weights of a MODEL's UNet by ldm keys, without the patches of other nodes."""
    weights = model.model_state_dict(filter_prefix=UNET_PREFIX)
    # Clones share one module; while one of them is loaded, its patches are in that module's weights.
    weights.update((key, kept.weight) for key, kept in model.backup.items() if key in weights)
    return {key.removeprefix(UNET_PREFIX): value.cpu() for key, value in weights.items()}


@contextmanager
def words_of_nodes() -> Generator[None]:
    """Makes errors about a base model name the nodes' input for it."""
    try:
        yield
    except BaseError as error:
        raise ValueError(error.sentence(BASE_INPUT)) from error
