"""Training inside ComfyUI: MODEL, VAE and CLIP as a base, pictures in memory as samples, and the result as a net.

The executor runs nodes in inference mode, whose tensors cannot be used in training, so they are copied. The UNet is
rebuilt as the library's own, on a copy of the MODEL's weights, since ComfyUI adds residuals in place.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy.utils
import torch
from PIL import Image
from torch import Tensor

from ...cnet_core import ControlNet, UNet, fit_hint
from ...cnet_core.checkpoints.shapes import unet_config_of
from ...cnet_core.nets.controlnet import HINT_DOWNSCALE
from ...cnet_core.tiny.sheet import to_image
from ...cnet_core.training import Objective, Reading, Trainer, TrainingSettings
from ...cnet_core.training.base import Text
from ...cnet_core.training.loop import Intervals, Outcome, fit
from ...cnet_core.training.objective import Prediction
from ...cnet_core.training.preview import Preview, sheet
from ...cnet_core.training.processes import SingleProcess
from ...cnet_core.training.run_plots import draw_plots
from ...cnet_core.training.settings import Precision
from ...cnet_core.training.source import TensorSamples, tensor_source
from ...cnet_core.training.start import check_start
from ...cnet_core.training.trainer import State
from .control_net import CondControl
from .families import check_unet
from .files import manage_net, unet_weights
from .host_types import Model
from .loaded import LoadedNet
from .ops import OPS

logger = logging.getLogger("cnet")

#: Readings of the convergence meter per run, and pictures in a preview.
READINGS, SHOWN = 20, 4
PREVIEW_SIZE = 512


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
    base = _base(model, vae, clip, list(dict.fromkeys(["", *prompts])), latents.shape[-2:])
    # Training needs all the memory, and ComfyUI does not unload its models without a request.
    comfy.model_management.unload_all_models()
    with torch.inference_mode(False), torch.enable_grad():
        samples = TensorSamples(latents.clone().float(), fitted.clone().float(), tuple(prompts))
        start = None if control_net is None else _copy_start(control_net, base.unet)
        settings = {**numbers, "precision": _precision(model)}
        net, plots, report = _train(base, samples, steps, settings, start)
    return CondControl(net), plots, report


def _train(
    base: "_Base",
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
    events = _ProgressEvents(steps, lambda: to_image(sheet([shown.hints, shown.draw(trainer.net)])))
    every = Intervals(log=max(1, steps // 100), read=max(1, steps // READINGS), save=steps)
    outcome = fit(
        trainer, source.meter(settings), steps, events, intervals=every, stop=lambda: events.stopped
    )
    events.finish(outcome.step)
    return _result(trainer.result), _pictures(events.rows), _report(outcome, events.rows)


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


@dataclass
class _Base:
    """A MODEL's UNet, rebuilt; its texts, already encoded; its VAE for previews."""

    unet: UNet
    objective: Objective
    texts: dict[str, Text]
    vae: Any
    process_out: Callable[[Tensor], Tensor]

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        """Returns the encoded prompts, on the UNet's device."""
        found = [self.texts[prompt] for prompt in prompts]
        like = next(self.unet.parameters())
        ys = [text.y for text in found if text.y is not None]
        context = torch.cat([text.context for text in found])
        return Text(context.to(like), torch.cat(ys).to(like) if ys else None)

    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W)."""
        with torch.inference_mode():
            pictures = self.vae.decode(self.process_out(latents.float()))
        return pictures.clone().movedim(-1, 1)


class _ProgressEvents:
    """Shows what happens on the node's progress bar and keeps it for the plots."""

    def __init__(self, steps: int, draw: Callable[[], Image.Image]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.stopped = False
        self._steps, self._draw = steps, draw
        self._bar = comfy.utils.ProgressBar(steps)

    def on_step(self, step: int) -> None:
        self._show(step, None)

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self.rows.append({"step": step, "loss": loss})

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self.rows.append({"step": reading.step, "reading": reading.to_dict()})
        if not self.stopped:
            self._show(reading.step, ("JPEG", self._draw(), PREVIEW_SIZE))

    def save(self, state: State, result: ControlNet) -> None:
        """Does nothing: the result stays in memory."""

    def finish(self, step: int) -> None:
        """Shows the plots as the last preview: front ends show that rather than a node's own pictures."""
        plots = _in_a_column(_plots(self.rows))
        self._show(step, ("JPEG", plots, max(plots.size)))

    def _show(self, step: int, preview: Any) -> None:
        """Advances the bar; ComfyUI raises an interrupt here, and then forgets it."""
        try:
            self._bar.update_absolute(step, self._steps, preview)
        except comfy.model_management.InterruptProcessingException:
            self.stopped = True


def _base(model: Any, vae: Any, clip: Any, prompts: Sequence[str], size: Sequence[int]) -> _Base:
    weights = unet_weights(model)
    heads = model.model.model_config.unet_config
    config = unet_config_of({key: tuple(value.shape) for key, value in weights.items()})
    count, width = heads.get("num_heads", -1), heads.get("num_head_channels", -1)
    config = config.with_heads(count if width == -1 else None, None if width == -1 else width)
    if config.in_channels != config.out_channels:
        raise ValueError(
            f"The MODEL's UNet takes {config.in_channels} channels: it is made for inpainting or for editing; train on "
            "the plain model of its family."
        )
    texts = {prompt: _text(model, clip, prompt, size) for prompt in prompts}
    with torch.inference_mode(False):
        unet = UNet(config)
        unet.load_state_dict({key: value.clone() for key, value in weights.items()})
        return _Base(unet, _objective(model), texts, vae, model.model.process_latent_out)


def _text(model: Any, clip: Any, prompt: str, size: Sequence[int]) -> Text:
    context, pooled = clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True)
    sides = {"height": 8 * size[0], "width": 8 * size[1]}
    y = model.model.encode_adm(pooled_output=pooled, device=context.device, **sides)
    with torch.inference_mode(False):
        return Text(context.clone(), None if y is None else y.clone())


def _objective(model: Any) -> Objective:
    kind = comfy.model_base.ModelType
    names: dict[Any, Prediction] = {kind.EPS: "epsilon", kind.V_PREDICTION: "v_prediction"}
    if model.model.model_type not in names:
        raise ValueError(
            f"The MODEL is of the type {model.model.model_type.name}; ControlNets are trained on models that predict "
            "eps or v."
        )
    sigmas = model.get_model_object("model_sampling").sigmas.float().cpu()
    with torch.inference_mode(False):
        return Objective(names[model.model.model_type], 1 / (1 + sigmas.clone() ** 2))


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


def _pictures(rows: list[dict[str, Any]]) -> Tensor:
    images = [torch.frombuffer(bytearray(i.tobytes()), dtype=torch.uint8) for i in _plots(rows)]
    width, height = _plots(rows)[0].size
    return torch.stack([i.reshape(height, width, 3).float() / 255 for i in images])


def _in_a_column(pictures: Sequence[Image.Image]) -> Image.Image:
    """Returns pictures of one width stacked in a column."""
    column = Image.new("RGB", (pictures[0].width, sum(p.height for p in pictures)))
    top = 0
    for picture in pictures:
        column.paste(picture, (0, top))
        top += picture.height
    return column


def _plots(rows: list[dict[str, Any]]) -> list[Image.Image]:
    return list(draw_plots(rows).values())


def _report(outcome: Outcome, rows: list[dict[str, Any]]) -> str:
    readings = [Reading.from_dict(row["reading"]) for row in rows if "reading" in row]
    last = readings[-1]
    if not outcome.compared:
        return (
            f"{outcome.step} steps, {outcome.reason}. Whether it follows its hint cannot be measured on one picture: "
            f"there is no other hint to compare with. Loss {last.loss:.4f}."
        )
    follows = (
        "It does not follow its hint yet: train longer, or with a higher learning rate."
        if outcome.converged_at is None
        else f"It has followed its hint since step {outcome.converged_at}."
    )
    return (
        f"{outcome.step} steps, {outcome.reason}. {follows} Loss {last.loss:.4f} with the matching hint, "
        f"{last.wrong_loss:.4f} with a wrong one."
    )
