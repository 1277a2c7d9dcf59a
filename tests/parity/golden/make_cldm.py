"""Makes cldm.safetensors: noise predictions of lllyasviel/ControlNet's own code, tiny random weights, CPU.

    git clone https://github.com/lllyasviel/ControlNet && git -C ControlNet checkout ed85cd1e25a5
    pip install torch torchvision numpy pillow tqdm einops safetensors
    python make_cldm.py ControlNet

Its UNet, ControlNet, apply_model and DDIM sampler run unchanged. pytorch_lightning and omegaconf, which it imports for
training, are stood in for; the sampler's `register_buffer`, which wants CUDA, is replaced.
"""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from safetensors.torch import save_file

COMMIT = "ed85cd1e25a5ed592f7d8178495b4483de0331bf"
HERE = Path(__file__).parent
STEPS, CFG_SCALE, STRENGTH = 10, 9.0, 0.8
#: gradio_canny2image.py, `process`: (control_scales, whether the uncond branch has the hint) by guess mode.
MODES = {
    "guess": ([STRENGTH * (0.825 ** float(12 - i)) for i in range(13)], False),
    "plain": ([STRENGTH] * 13, True),
}


def main(checkout: str) -> None:
    """Runs both modes and writes what came out."""
    sys.path[:0] = [checkout, str(HERE.parents[1] / "support")]
    stand_in_for_training_imports()
    torch.set_num_threads(1)
    tensors = {}
    for mode, (scales, in_both) in MODES.items():
        tensors |= {f"{mode}.{k}": v for k, v in sampled(scales, in_both).items()}
    notes = {"source": "lllyasviel/ControlNet", "commit": COMMIT, "torch": torch.__version__}
    save_file(tensors, HERE / "cldm.safetensors", notes)


def stand_in_for_training_imports() -> None:
    """Puts empty modules where ldm imports pytorch_lightning and omegaconf."""
    lightning, distributed = ModuleType("pytorch_lightning"), ModuleType("distributed")
    lightning.LightningModule = torch.nn.Module
    distributed.rank_zero_only = lambda function: function
    omegaconf = ModuleType("omegaconf")
    omegaconf.ListConfig = list
    sys.modules |= {
        "pytorch_lightning": lightning,
        "pytorch_lightning.utilities": ModuleType("utilities"),
        "pytorch_lightning.utilities.distributed": distributed,
        "omegaconf": omegaconf,
        "omegaconf.listconfig": omegaconf,
    }


def sampled(scales: list[float], in_both: bool) -> dict[str, torch.Tensor]:
    """Returns latents and guided noise of every DDIM step, the sampler's alphas, and the final latents."""
    from cldm.ddim_hacked import DDIMSampler
    from ramps import inputs

    class Sampler(DDIMSampler):
        def register_buffer(self, name, attr):
            setattr(self, name, attr)

    model, given = released_model(scales), inputs()
    cond = {"c_concat": [given["hint"]], "c_crossattn": [given["cond"]]}
    uncond = {
        "c_concat": [given["hint"]] if in_both else None,
        "c_crossattn": [given["uncond"]],
    }
    sampler = Sampler(model)
    latents, _ = sampler.sample(
        STEPS,
        1,
        tuple(given["x"].shape[1:]),
        cond,
        verbose=False,
        x_T=given["x"],
        unconditional_guidance_scale=CFG_SCALE,
        unconditional_conditioning=uncond,
    )
    (cond_calls, uncond_calls) = model.calls[::2], model.calls[1::2]
    return {
        "x": torch.cat([x for x, _, _ in cond_calls]),
        "timesteps": torch.cat([t for _, t, _ in cond_calls]),
        "cond": torch.cat([out for _, _, out in cond_calls]),
        "uncond": torch.cat([out for _, _, out in uncond_calls]),
        "alphas": torch.as_tensor(sampler.ddim_alphas).float(),
        "alphas_prev": torch.as_tensor(sampler.ddim_alphas_prev).float(),
        "latents": latents,
    }


def released_model(scales: list[float]) -> SimpleNamespace:
    """Returns what DDIMSampler needs of a ControlLDM; every call of apply_model is kept in `calls`."""
    from cldm.cldm import ControlLDM, ControlledUnetModel, ControlNet
    from ldm.modules.diffusionmodules.util import make_beta_schedule
    from ramps import LDM_SHAPE, fill

    shape = {
        **LDM_SHAPE,
        "image_size": 8,
        "attention_resolutions": [4, 2, 1],
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "use_checkpoint": False,
        "legacy": False,
    }
    alphas = 1 - torch.from_numpy(
        make_beta_schedule("linear", 1000, linear_start=0.00085, linear_end=0.012)
    )
    cumulated = alphas.cumprod(0)
    model = SimpleNamespace(
        model=SimpleNamespace(
            diffusion_model=fill(ControlledUnetModel(**shape, out_channels=4), "unet")
        ),
        control_model=fill(ControlNet(**shape, hint_channels=3), "control"),
        control_scales=scales,
        only_mid_control=False,
        num_timesteps=1000,
        betas=1 - alphas,
        alphas_cumprod=cumulated,
        alphas_cumprod_prev=torch.cat([torch.ones(1), cumulated[:-1]]),
        device=torch.device("cpu"),
        parameterization="eps",
        calls=[],
    )

    def apply_model(x, t, cond):
        found = ControlLDM.apply_model(model, x, t, cond)
        model.calls.append((x, t, found))
        return found

    model.apply_model = apply_model
    return model


if __name__ == "__main__":
    main(sys.argv[1])
