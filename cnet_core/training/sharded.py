"""ShardedProcesses: divides weights, gradients and AdamW's state among the processes (FSDP2), for large nets."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from torch import Tensor

from ..nets.controlnet import ControlNet
from .processes import AcceleratedProcesses
from .step import ControlModel


class ShardedProcesses(AcceleratedProcesses):
    """As accelerate's FSDP of version 2: each process holds a part of every weight; blocks are gathered to run.

    It follows `reshard_after_forward` and offloading in accelerate's config. The run sets the precision. The encoder's
    blocks are wrapped, whatever the wrap policy.

    Raises:
        ValueError: the config asks for FSDP of version 1.
    """

    sharded = True

    def __init__(self, accelerator: Any) -> None:
        super().__init__(accelerator)
        plugin = getattr(accelerator.state, "fsdp_plugin", None)
        if plugin is not None and plugin.fsdp_version != 2:
            raise ValueError(
                f"accelerate's `fsdp_version` is {plugin.fsdp_version}; set it to 2 in `accelerate config`."
            )
        self._options: dict[str, Any] = (
            {}
            if plugin is None
            else {
                "reshard_after_forward": plugin.reshard_after_forward,
                "offload_policy": plugin.cpu_offload,
            }
        )

    def wrap(self, net: ControlNet) -> ControlModel:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.count,))
        for block in (*net.input_blocks, net.middle_block, net):
            fully_shard(block, mesh=mesh, **self._options)
        return net

    def sync(self, model: ControlModel, *, last: bool) -> AbstractContextManager[Any]:
        cast(Any, model).set_requires_gradient_sync(last)
        return nullcontext()

    def whole(self, tensor: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor

        return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor

    def part(self, whole: Tensor, like: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(like, DTensor):
            return whole
        return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)
