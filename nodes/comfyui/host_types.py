"""Protocols of ComfyUI's objects, with only the members that the pack uses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ...cnet_core.hosting import NetSource

#: The object that a wrapped function belongs to.
Owner = TypeVar("Owner", covariant=True)

#: ComfyUI's model options and transformer options, which every pack writes to.
Options = dict[str, Any]

#: One entry of processed conditioning, and a list of them.
Cond = Mapping[str, Any]
Conds = Sequence[Cond]


class Executor(Protocol[Owner]):
    """What a wrapper calls next: the next wrapper or the function itself."""

    @property
    def class_obj(self) -> Owner: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Patcher(Protocol):
    """ModelPatcher of any module."""

    @property
    def model(self) -> Any: ...

    @property
    def load_device(self) -> torch.device: ...


class ModelSampling(Protocol):
    """A model's noise levels."""

    def percent_to_sigma(self, percent: float) -> float: ...

    def timestep(self, sigma: Tensor) -> Tensor: ...

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor: ...


class CurrentPatcher(Protocol):
    """The ModelPatcher that a BaseModel is sampled with."""

    def get_additional_models_with_key(self, key: str) -> Sequence[Patcher]: ...


class BaseModel(Protocol):
    """The module of a MODEL."""

    @property
    def model_sampling(self) -> ModelSampling: ...

    @property
    def diffusion_model(self) -> Any: ...

    @property
    def model_config(self) -> Any: ...

    @property
    def current_patcher(self) -> CurrentPatcher: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def manual_cast_dtype(self) -> torch.dtype | None: ...

    def get_dtype(self) -> torch.dtype: ...

    def memory_required(self, input_shape: Sequence[int]) -> float: ...


class WeightBackup(Protocol):
    """A weight before a patch was written into it."""

    @property
    def weight(self) -> Tensor: ...


class Model(Protocol):
    """ModelPatcher of a BaseModel: the value of a MODEL socket."""

    model_options: Options

    @property
    def model(self) -> BaseModel: ...

    @property
    def backup(self) -> Mapping[str, WeightBackup]: ...

    def clone(self) -> "Model": ...

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]: ...

    def get_additional_models_with_key(self, key: str) -> Sequence[Patcher]: ...

    def get_attachment(self, key: str) -> Any: ...

    def set_attachments(self, key: str, attachment: object) -> None: ...

    def set_additional_models(self, key: str, models: list[Patcher]) -> None: ...

    def add_callback_with_key(
        self, call_type: str, key: str, callback: Callable[..., Any]
    ) -> None: ...

    def remove_callbacks_with_key(self, call_type: str, key: str) -> None: ...


class Guider(Protocol):
    """The guider of a run. Scales and further models differ by kind, so callers look for them."""

    model_options: Options

    @property
    def model_patcher(self) -> Model: ...

    @property
    def conds(self) -> Mapping[str, Conds]: ...

    @property
    def original_conds(self) -> Mapping[str, Conds]: ...


class DeviceSource(NetSource, Protocol):
    """A source whose net ComfyUI may want on a further GPU."""

    def on_device(self, device: torch.device) -> "DeviceSource":
        """Returns a source of the same net on another device."""
        ...


class UNetModel(Protocol):
    """ComfyUI's UNet."""

    @property
    def output_blocks(self) -> Sequence[object]: ...
