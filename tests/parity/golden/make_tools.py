"""Makes tools.safetensors and tools.json: what other tools' own code does to a ControlNet's residuals, and when.

    git clone https://github.com/Mikubill/sd-webui-controlnet               # 56cec5b2958e
    git clone https://github.com/lllyasviel/stable-diffusion-webui-forge    # dfdcbab685e5
    git clone https://github.com/Kosinkadink/ComfyUI-Advanced-ControlNet    # 9e60d8a9c801
    git clone https://github.com/invoke-ai/InvokeAI                         # 8e71a8a51939
    pip install torch numpy safetensors
    python make_tools.py sd-webui-controlnet stable-diffusion-webui-forge ComfyUI-Advanced-ControlNet InvokeAI

None of them can be imported without the application around it, so the functions in question, or in one case the
statements, are taken out of their source by `ast` and run unchanged.
"""

import ast
import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from tool_cases import STRENGTH, WINDOWS, cases, key, mask, residuals  # noqa: E402

COMMITS = {
    "Mikubill/sd-webui-controlnet": "56cec5b2958edf3b1807b7e7b2b1b5186dbd2f81",
    "lllyasviel/stable-diffusion-webui-forge": "dfdcbab685e57677014f05a3309b48cc87383167",
    "Kosinkadink/ComfyUI-Advanced-ControlNet": "9e60d8a9c8016c5315063aa7af66b321a0444df7",
    "invoke-ai/InvokeAI": "8e71a8a519399d6db32054ae9afc7c6c4e2355af",
}
#: Profile -> (soft_injection, cfg_injection), as controlnet.py derives them from the unit's mode.
WEBUI = {"webui": (False, False), "webui_prompt": (True, False), "webui_control": (True, True)}
FORGE = {"forge": "Balanced", "forge_prompt": "PROMPT", "forge_control": "CONTROL"}


def main(webui: str, forge: str, acn: str, invoke: str) -> None:
    """Runs all four and writes what came out."""
    tensors = {
        key(profile, *case): torch.stack([block + torch.zeros(2, 1, 2, 2) for block in blocks])
        for weights in (webui_weights(webui), forge_weights(forge), acn_weights(acn))
        for (profile, case), blocks in weights.items()
    }
    save_file(tensors, HERE / "tools.safetensors", COMMITS)
    steps = {"webui": webui_steps(webui), "invoke": invoke_steps(invoke)}
    (HERE / "tools.json").write_text(json.dumps({"commits": COMMITS, "steps": steps}, indent=1))


def taken(path: Path, wanted: Iterable[str], **names: object) -> dict[str, object]:
    """Returns a namespace with the functions of these names, also methods, out of a source file."""
    tree = ast.walk(ast.parse(path.read_text()))
    found = [n for n in tree if isinstance(n, ast.FunctionDef) and n.name in wanted]
    for node in found:  # decorators and annotations name things that are not here
        node.decorator_list, node.returns = [], None
        for argument in node.args.args:
            argument.annotation = None
    space = {"torch": torch, "math": math, **names}
    exec(compile(ast.Module(found, []), str(path), "exec"), space)
    return space


def webui_weights(checkout: str):
    """The part of `forward` in scripts/hook.py between the ControlNet's call and the sum over units."""
    path = Path(checkout, "scripts", "hook.py")
    body = ast.unparse(_webui_loop(path))
    effective = taken(path, ["apply_effective_region_mask"])["apply_effective_region_mask"]
    found = {}
    for profile, (soft, cfg) in WEBUI.items():
        for family, pooled, masked in cases():
            param = SimpleNamespace(
                weight=STRENGTH,
                soft_injection=soft,
                cfg_injection=cfg,
                global_average_pooling=pooled,
                advanced_weighting=None,
                control_model_type=SimpleNamespace(is_controlnet=True),
                preprocessor={"name": "none"},
                effective_region_mask=mask()[None, None] if masked else None,
            )
            param.apply_effective_region_mask = lambda out, param=param: effective(param, out)
            space = {
                "torch": torch,
                "param": param,
                "is_sdxl": family == "xl",
                "is_in_high_res_fix": False,
                "cond_mark": torch.tensor([0.0, 1.0])[:, None, None, None],
                "control": residuals(family),
                "ControlModelType": SimpleNamespace(T2I_Adapter=object()),
            }
            exec(body, space)
            found[profile, (family, pooled, masked)] = space["control"]
    return found


def _webui_loop(path: Path) -> ast.Module:
    """Statements from `if is_sdxl: control_scales = ...` to the pooling, inside the loop over units."""
    for loop in ast.walk(ast.parse(path.read_text())):
        if isinstance(loop, ast.For):
            texts = [ast.unparse(node) for node in loop.body]
            first = [i for i, t in enumerate(texts) if "control_scales = [param.weight] * 10" in t]
            last = [i for i, t in enumerate(texts) if "torch.mean(c, dim=(2, 3)" in t]
            if first and last:
                return ast.Module(loop.body[first[0] : last[0] + 1], [])
    raise SystemExit(f"{path} is another version.")


def webui_steps(checkout: str) -> list[list[int]]:
    """The steps with control by `guidance_schedule_handler`."""
    path = Path(checkout, "scripts", "hook.py")
    handler = taken(path, ["guidance_schedule_handler"])["guidance_schedule_handler"]

    def active(start: float, end: float, i: int, n: int) -> bool:
        param = SimpleNamespace(start_guidance_percent=start, stop_guidance_percent=end)
        hook = SimpleNamespace(control_params=[param], model=None)
        handler(hook, SimpleNamespace(sampling_step=i, total_sampling_steps=n))
        return not param.guidance_stopped

    return [[i for i in range(n) if active(start, end, i, n)] for start, end, n in WINDOWS]


def forge_weights(checkout: str):
    """`control_merge` and `compute_controlnet_weighting`, with the weights that the extension sets."""
    path = Path(checkout, "backend", "patcher", "controlnet.py")
    space = taken(path, ["control_merge", "compute_controlnet_weighting", "get_at"])
    found = {}
    for profile, mode in FORGE.items():
        for family, pooled, masked in cases():
            soft, zero = _forge_tables(Path(checkout), family == "xl")
            net = SimpleNamespace(
                strength=STRENGTH,
                global_average_pooling=pooled,
                advanced_mask_weighting=mask()[None, None] if masked else None,
                positive_advanced_weighting=None if mode == "Balanced" else soft,
                negative_advanced_weighting={"Balanced": None, "PROMPT": soft, "CONTROL": zero}[
                    mode
                ],
                transformer_options={
                    "cond_or_uncond": [1, 0],
                    "sigmas": torch.ones(1),
                    "cond_mark": torch.tensor([1.0, 0.0]),  # 1 is uncond here
                },
            )
            given = [block.clone() for block in residuals(family)]
            out = space["control_merge"](net, None, given, None, torch.float32)
            found[profile, (family, pooled, masked)] = [*out["output"], *out["middle"]]
    return found


def _forge_tables(checkout: Path, is_sdxl: bool):
    """`soft_weighting` and `zero_weighting` of the extension's process_unit_before_every_sampling."""
    path = checkout / "extensions-builtin" / "sd_forge_controlnet" / "scripts" / "controlnet.py"
    space = {"p": SimpleNamespace(sd_model=SimpleNamespace(is_sdxl=is_sdxl))}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in (
            "soft_weighting",
            "zero_weighting",
        ):
            exec(ast.unparse(node), space)
    return space["soft_weighting"], space["zero_weighting"]


def acn_weights(checkout: str):
    """`control_merge_inject` with the universal weights of Scaled Soft Weights at its defaults."""
    utils = Path(checkout, "adv_control", "utils.py")
    methods = ["control_merge_inject", "apply_advanced_strengths_and_masks", "calc_weight"]
    space = taken(utils, [*methods, "prepare_mask_batch"])
    weights_of = _acn_universal_weights(Path(checkout, "adv_control", "control.py"))
    found = {}
    for family, pooled, masked in cases():
        net = SimpleNamespace(
            strength=STRENGTH,
            global_average_pooling=pooled,
            batched_number=2,
            latent_keyframes=None,
            mask_cond_hint=mask()[None] if masked else None,
            tk_mask_cond_hint=None,
            _current_timestep_keyframe=SimpleNamespace(strength=1.0),
        )
        net.weights = SimpleNamespace(
            base_multiplier=0.825,
            extras={},
            weight_mask=None,
            disable_applied_to=True,
            has_uncond_multiplier=False,
            has_uncond_mask=False,
        )
        net.weights.get = weights_of(net)
        for name in methods[1:]:
            setattr(net, name, lambda *a, f=space[name], net=net, **k: f(net, *a, **k))
        blocks = [block.clone() for block in residuals(family)]
        control = {"output": blocks[:-1], "middle": blocks[-1:]}
        out = space["control_merge_inject"](net, control, None, torch.float32)
        found["acn_soft", (family, pooled, masked)] = [*out["output"], *out["middle"]]
    return found


def _acn_universal_weights(path: Path):
    """ControlNetAdvanced.get_universal_weights, as a function of the control."""
    extras = SimpleNamespace(MIDDLE_MULT="middle_mult")
    tree = ast.parse(path.read_text())
    (owner,) = [n for n in tree.body if getattr(n, "name", "") == "ControlNetAdvanced"]
    (method,) = [n for n in owner.body if getattr(n, "name", "") == "get_universal_weights"]
    method.returns = None
    space = {"Extras": extras, "Tensor": torch.Tensor}
    exec(compile(ast.Module([method], []), str(path), "exec"), space)

    def weights_of(net):
        net.weights.copy_with_new_weights = lambda new_weight_func: new_weight_func
        return space["get_universal_weights"](net)

    return weights_of


def invoke_steps(checkout: str) -> list[list[int]]:
    """The steps with control by ControlNetExt.pre_unet_step."""
    path = Path(checkout, "invokeai", "backend", "stable_diffusion", "extensions", "controlnet.py")
    step = taken(path, ["pre_unet_step"], ConditioningMode=SimpleNamespace(Negative=0, Both=1))

    def active(start: float, end: float, i: int, n: int) -> bool:
        ran = []
        ext = SimpleNamespace(
            _begin_step_percent=start, _end_step_percent=end, _control_mode="balanced"
        )
        ext._run = lambda *args: ran.append(args) or ([], None)
        kwargs = SimpleNamespace(
            down_block_additional_residuals=None, mid_block_additional_residual=None
        )
        inputs = SimpleNamespace(timesteps=range(n))
        context = SimpleNamespace(
            inputs=inputs, step_index=i, conditioning_mode=1, unet_kwargs=kwargs
        )
        step["pre_unet_step"](ext, context)
        return bool(ran)

    return [[i for i in range(n) if active(start, end, i, n)] for start, end, n in WINDOWS]


if __name__ == "__main__":
    main(*sys.argv[1:])
