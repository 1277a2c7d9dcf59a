"""Makes sgm.safetensors: noise predictions of Stability's own UNet, SDXL's shape, tiny random weights, CPU.

    git clone https://github.com/Stability-AI/generative-models && git -C generative-models checkout 0ad7de9a5cb5
    pip install torch numpy pillow safetensors einops fsspec packaging; pip install CNET_CORE_FOLDER
    python make_sgm.py generative-models

Two numbers come from its `UNetModel`: the plain call, and one whose residuals are added by hand between its blocks.
Before they are written, `patch_unet` on that very UNet must give the second, and the first once it is removed.
The packages' own `__init__` files, which import the trainer, are passed over.
"""

import sys
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import save_file
from torch import Tensor

COMMIT = "0ad7de9a5cb53fd63d6d30a4f385485e72e08597"
HERE = Path(__file__).parent
#: Largest difference allowed, relative to the largest number.
TOLERANCE = 1e-5


def main(checkout: str) -> None:
    """Runs the UNet plain, by hand and patched, compares, and writes."""
    sys.path.insert(0, str(HERE.parents[1] / "support"))
    stand_in_for_packages(Path(checkout) / "sgm")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    from ramps import fill
    from sgm.modules.diffusionmodules.openaimodel import UNetModel
    from sgm_shape import CONFIG, SGM_SHAPE, call, hint

    import cnet_core as cn

    unet = fill(UNetModel(**SGM_SHAPE).train(False), "sgm.unet")
    net = fill(cn.ControlNet(CONFIG), "sgm.control")
    plain = unet(*call())
    found = net(call()[0], hint(), *call()[1:])
    want = by_hand(unet, found.skips, found.middle, *call())
    attachment = cn.patch_unet(unet, cn.ControlUnit(net, hint()))
    compare("patched", unet(*call()), want)
    attachment.remove()
    assert torch.equal(unet(*call()), plain), "remove() left something behind"
    notes = {
        "source": "Stability-AI/generative-models",
        "commit": COMMIT,
        "torch": torch.__version__,
    }
    save_file({"plain": plain, "controlled": want}, HERE / "sgm.safetensors", notes)


def stand_in_for_packages(folder: Path) -> None:
    """Makes sgm and its packages importable without running what their `__init__` files import."""
    for name in ("sgm", "sgm.modules"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package


def by_hand(
    unet: torch.nn.Module,
    skips: tuple[Tensor, ...],
    middle: Tensor,
    x: Tensor,
    timesteps: Tensor,
    context: Tensor,
    y: Tensor,
) -> Tensor:
    """Goes through the UNet's blocks in its own order; residuals join the middle's output and each skip."""
    from sgm.modules.diffusionmodules.util import timestep_embedding

    emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels)) + unet.label_emb(y)
    h, kept = x, []
    for block, residual in zip(unet.input_blocks, skips, strict=True):
        h = block(h, emb, context)
        kept.append(h + residual)
    h = unet.middle_block(h, emb, context) + middle
    for block in unet.output_blocks:
        h = block(torch.cat([h, kept.pop()], dim=1), emb, context)
    return unet.out(h)


def compare(name: str, got: Tensor, want: Tensor) -> None:
    """Prints how far `got` is from `want`, and stops where that is too far."""
    difference = float((got - want).abs().max() / want.abs().max())
    print(f"{name}: {difference:.1e} from the sum by hand")
    if not difference <= TOLERANCE:
        sys.exit(f"{name} differs by {difference}, more than {TOLERANCE}.")


if __name__ == "__main__":
    main(sys.argv[1])
