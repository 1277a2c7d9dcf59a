"""route_control_net: a CONTROL_NET with settings, for any node that puts control on conditioning."""

from typing import Any

import torch
from comfy.controlnet import ControlBase, T2IAdapter

from ...cnet_core import BlockScales, HintRouting
from ...cnet_core.hosting import UnitSpec, check_spec
from ...cnet_core.nets.control_types import ControlTypeError
from .control_net import CondControl
from .foreign.accept import check_accepted
from .host_types import DeviceSource
from .native import source_of
from .route_settings import RouteSettings
from .routed_adapter import RoutedAdapter, route_adapter, unroute


def route_control_net(
    control_net: Any,
    routing: HintRouting | None = None,
    scales: BlockScales | None = None,
    **settings: Any,
) -> ControlBase:
    """Returns a ControlNet that takes its settings to whatever Apply node it is connected to.

    Settings of an earlier Route ControlNet stay, where this one says nothing.

    Args:
        control_net: from our loaders or ComfyUI's, or from another Route ControlNet.
        routing, scales: None for both prompts and uniform.
        settings: the others of RouteSettings.

    Raises:
        TypeError: `control_net` is neither ours nor a cldm ControlNet or T2I-Adapter of ComfyUI's.
        ValueError: a setting does not fit the net.
    """
    given = RouteSettings(routing, scales, **settings)
    if isinstance(control_net, T2IAdapter):
        check_accepted(unroute(control_net))
        _check_own(control_net)
        return route_adapter(control_net, given)
    ours = (
        control_net if isinstance(control_net, CondControl) else CondControl(source_of(control_net))
    )
    found = ours.with_settings(given)
    _check(found.net_source, found.travelling_settings())
    return found


def _check_own(adapter: T2IAdapter) -> None:
    """Raises TypeError for another pack's class of adapters, by its name: ours would leave out what it adds."""
    if type(adapter) not in (T2IAdapter, RoutedAdapter):
        raise TypeError(
            f"`control_net` is a {type(adapter).__name__}, another pack's kind of T2I-Adapter, whose own behaviour "
            "would be lost. Connect the adapter from ComfyUI's Load ControlNet Model, or use Apply ControlNet (to the "
            "model)."
        )


def _check(source: DeviceSource, settings: RouteSettings) -> None:
    """Raises ValueError for settings that do not fit a net; the picture is not known yet."""
    picture = torch.zeros(1, 64, 64, source.hint_channels)
    spec = UnitSpec(source, picture, 1.0, 0.0, 1.0, **settings.values())
    try:
        check_spec(spec)
    except ControlTypeError as error:
        raise ValueError(error.sentence("control_type", "Set it to auto.")) from error
    if source.config is not None:
        spec.scales.values((1.0,) * source.config.num_blocks)
