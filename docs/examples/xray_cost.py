"""What recording costs: a UNet step of the embedded model with and without it: `python docs/examples/xray_cost.py`.

Prints the median of each and of their ratio, and what the norms alone take at Stable Diffusion 1.5's sizes.
"""

import statistics
import time
from collections.abc import Callable

import torch

import cnet_core as cn
from cnet_core.tiny.demo import DEFAULT_KIND, DEFAULT_PROMPT
from cnet_core.tiny.drawn_hint import draw_hint
from cnet_core.tiny.model import TinyStableDiffusion, starting_noise

TURNS = 40


@torch.no_grad()
def main() -> None:
    """Measures on one thread."""
    torch.set_num_threads(1)
    model = TinyStableDiffusion.load()
    x = starting_noise(2, 128, 0)
    inputs = (x, torch.full((2,), 500), model.text(["", DEFAULT_PROMPT]))
    with cn.patch_unet(
        model.unet, cn.ControlUnit(model.control_net, draw_hint(DEFAULT_KIND)[0])
    ) as control:

        def without() -> None:
            with control.leave_out(()):
                model.unet(*inputs)

        turns = [(seconds(lambda: model.unet(*inputs)), seconds(without)) for _ in range(TURNS)]
    recorded, plain = (statistics.median(times) for times in zip(*turns, strict=True))
    ratio = statistics.median(a / b for a, b in turns)
    print(f"step with recording {recorded:.4f} s, without {plain:.4f} s, ratio {ratio:.4f}")
    blocks = [torch.randn(2, *shape) for shape in cn.SD15.block_shapes(64, 64)]
    watch = cn.xray.Watch()

    def norms() -> None:
        for index, block in enumerate(blocks):
            watch.measure(index, block, block)

    times = [seconds(norms) for _ in range(TURNS)]
    print(f"norms at SD1.5's sizes, 512 px, batch 2: {1000 * statistics.median(times):.1f} ms")


def seconds(run: Callable[[], object]) -> float:
    """Returns the processor time of a call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
