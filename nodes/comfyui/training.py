"""Training inside ComfyUI: MODEL, VAE and CLIP as a base, pictures in memory as samples, and the result as a net.

The executor runs nodes in inference mode, whose tensors cannot be used in training, so they are copied. The UNet is
rebuilt as the library's own, on a copy of the MODEL's weights, since ComfyUI adds residuals in place.
"""

import logging
from dataclasses import replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...cnet_core import ControlNet, UNet, fit_hint
from ...cnet_core.nets.controlnet import HINT_DOWNSCALE
from ...cnet_core.tiny.sheet import to_image
from ...cnet_core.training import Trainer, TrainingSettings
from ...cnet_core.training.loop import Intervals, fit
from ...cnet_core.training.preview import Preview, sheet
from ...cnet_core.training.processes import SingleProcess
from ...cnet_core.training.settings import Precision
from ...cnet_core.training.source import TensorSamples, tensor_source
from ...cnet_core.training.start import check_start
from .control_net import CondControl
from .families import check_unet
from .files import manage_net
from .host_types import Model
from .loaded import LoadedNet
from .ops import OPS
from .training_base import RebuiltBase, rebuild_base
from .training_progress import ProgressEvents, plot_pictures, report_outcome

logger = logging.getLogger("cnet")

#: Readings of the convergence meter per run, and pictures in a preview.
READINGS, SHOWN = 20, 4


def train_control_net(
    model: Any,
    vae: Any,
    clip: Any,
    images: Tensor,
    hints: Tensor,
    captions: str,
    steps: int,
    numbers: dict[str, Any],
    control_net: object = None,
) -> tuple[CondControl, Tensor, str]:
    """Returns the trained ControlNet, its plots (N, H, W, 3) and a report.

    An interrupt ends the training and keeps what the net has learned; the graph continues with that.

    Args:
        images, hints: (N, H, W, 3), 0..1; one hint per picture.
        captions: one line per picture, or one for all.
        steps: optimizer steps.
        numbers: further training settings by name.
        control_net: the net to train further; None is a new one.

    Raises:
        TypeError: the MODEL has no UNet, or `control_net` is not one of our nets.
        ValueError: pictures, hints and captions do not fit together, or the net does not fit the MODEL.
    """
    check_unet(model, "Training is for Stable Diffusion 1.x, 2.x and SDXL.")
    prompts = _prompts(captions, images, hints)
    height, width = images.shape[1:3]
    fitted = _in_cells(fit_hint(hints[..., :3].movedim(-1, 1), height, width))
    pixels = _in_cells(images[..., :3].movedim(-1, 1)).movedim(1, -1)
    latents = model.model.process_latent_in(vae.encode(pixels))
    base = rebuild_base(model, vae, clip, list(dict.fromkeys(["", *prompts])), latents.shape[-2:])
    # Training needs all the memory, and ComfyUI does not unload its models without a request.
    comfy.model_management.unload_all_models()
    with torch.inference_mode(False), torch.enable_grad():
        samples = TensorSamples(latents.clone().float(), fitted.clone().float(), tuple(prompts))
        start = None if control_net is None else _copy_start(control_net, base.unet)
        settings = {**numbers, "precision": _precision(model)}
        net, plots, report = _train(base, samples, steps, settings, start)
    return CondControl(net), plots, report


def _train(
    base: RebuiltBase,
    samples: TensorSamples,
    steps: int,
    numbers: dict[str, Any],
    start: ControlNet | None,
) -> tuple[LoadedNet, Tensor, str]:
    device = comfy.model_management.get_torch_device()
    settings = TrainingSettings(**numbers, warmup=min(100, steps // 10))
    logger.info("Train ControlNet computes in %s.", settings.precision)
    shown = Preview(base, samples.hints[:SHOWN], samples.prompts[:SHOWN])
    source = tensor_source(base, samples, lambda net: (sheet([shown.draw(net)]), {}))
    processes = SingleProcess(device)
    trainer = Trainer(base, source.samples, settings, net=start, processes=processes)
    events = ProgressEvents(steps, lambda: to_image(sheet([shown.hints, shown.draw(trainer.net)])))
    every = Intervals(log=max(1, steps // 100), read=max(1, steps // READINGS), save=steps)
    outcome = fit(
        trainer, source.meter(settings), steps, events, intervals=every, stop=lambda: events.stopped
    )
    events.finish(outcome.step)
    return _result(trainer.result), plot_pictures(events.rows), report_outcome(outcome, events.rows)


def _result(trained: ControlNet) -> LoadedNet:
    """Returns a trained net under ComfyUI's memory management, which may use half precision for it."""
    exact = _copy(trained).requires_grad_(False)
    net = ControlNet(trained.config, ops=OPS, pooled=trained.pooled)
    net.load_state_dict(exact.state_dict())
    found = manage_net(net)
    return found if found.is_float32 else replace(found, exact=exact)


def _copy_start(control_net: object, unet: UNet) -> ControlNet:
    """Returns a copy of a net from a node, to be trained for this UNet."""
    source = getattr(control_net, "net_source", None)
    if not isinstance(source, LoadedNet):
        raise TypeError(
            f"`control_net` is a {type(control_net).__name__} of another loader. Train ControlNet continues nets from "
            "Load ControlNet and Train ControlNet: load the file with Load ControlNet to train it."
        )
    net = source.exact or source.net
    check_start(net, unet.config, "The ControlNet at `control_net`")
    return _copy(net)


def _copy(net: ControlNet) -> ControlNet:
    """Returns a net of plain layers in float32 with the weights of another one."""
    copy = ControlNet(net.config, net.hint_channels, pooled=net.pooled)
    copy.load_state_dict(net.state_dict())
    return copy


def _in_cells(pictures: Tensor) -> Tensor:
    """Returns the middle of pictures (N, C, H, W), with sides divisible by 8: the part that ComfyUI's VAE encodes."""
    for dim in (-2, -1):
        rest = pictures.shape[dim] % HINT_DOWNSCALE
        pictures = pictures.narrow(dim, rest // 2, pictures.shape[dim] - rest)
    return pictures


def _prompts(captions: str, images: Tensor, hints: Tensor) -> list[str]:
    if len(images) != len(hints):
        raise ValueError(
            f"There are {len(images)} images but {len(hints)} hints; give one hint for each image."
        )
    lines = [line.strip() for line in captions.strip("\n").split("\n")]
    if len(lines) not in (1, len(images)):
        raise ValueError(
            f"There are {len(lines)} captions for {len(images)} images; write one line for each, or one for all."
        )
    return lines * len(images) if len(lines) == 1 else lines


def _precision(model: Model) -> Precision:
    """Returns the MODEL's precision in ComfyUI, but bf16 instead of fp16, as bf16 needs no loss scale."""
    dtype = model.model.manual_cast_dtype or model.model.get_dtype()
    if dtype not in (torch.float16, torch.bfloat16):
        return "fp32"
    device = comfy.model_management.get_torch_device()
    return "bf16" if comfy.model_management.should_use_bf16(device) else "fp16"
