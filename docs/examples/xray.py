"""X-ray of a run of the embedded model with two ControlNets: `python docs/examples/xray.py [PNG]`.

Writes the picture and prints the report. The same on a real model: patch_unet around your own sampling.
"""

import sys

import torch
from torch import Tensor

import cnet_core as cn
from cnet_core.tiny.demo import DEFAULT_KIND, DEFAULT_PROMPT
from cnet_core.tiny.drawn_hint import draw_hint
from cnet_core.tiny.model import TinyStableDiffusion

STEPS, CFG = 20, 7.5
LAST_TIMESTEP = 1000 // STEPS - 1  # at which the last of 20 even steps begins


def main(path: str = "xray.png") -> None:
    """Samples with two units, and asks what each block did to the guided prediction of the last step."""
    model = TinyStableDiffusion.load()
    units = [
        cn.ControlUnit(
            model.control_net, draw_hint(DEFAULT_KIND)[0], strength=0.5, end_percent=0.6
        ),
        cn.ControlUnit(
            model.control_net,
            draw_hint(DEFAULT_KIND)[0],
            strength=0.7,
            routing=cn.HintRouting.cond_only(),
            scales=cn.BlockScales.soft(),
        ),
    ]
    context = model.text(["", DEFAULT_PROMPT])
    with cn.patch_unet(model.unet, units) as control:
        control.cfg_scale = CFG
        *_, before_last, _ = model.sample([DEFAULT_PROMPT], steps=STEPS, cfg_scale=CFG)

        @torch.no_grad()
        def predict() -> Tensor:
            x, t = torch.cat([before_last] * 2), torch.full((2,), LAST_TIMESTEP)
            uncond, cond = model.unet(x, t, context).chunk(2)
            return uncond + CFG * (cond - uncond)

        influence = cn.xray.leave_one_out(control, predict)
    cn.xray.draw(control.record, influence).save(path)
    print(cn.xray.describe(control.record, influence))


if __name__ == "__main__":
    main(*sys.argv[1:])
