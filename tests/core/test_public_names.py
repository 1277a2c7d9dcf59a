"""What other people's code and scripts call by name: whoever changes a name here changes it for them.

Node ids and their inputs are in tests/comfy/test_schemas.py, since only a ComfyUI can read them.
"""

import argparse
import inspect

import pytest

import cnet_core as cn
from cnet_core.cli.main import build_parser

LIBRARY = """
PROFILE_NAMES SD15 SD21 SDXL Attachment BlockControl BlockScales ControlBlock ControlNet ControlStack ControlUnit
Fingerprint FrameStrengths HintRouting Profile Residuals Row UNet UNetAdapter UNetCall UNetConfig UnionControlNet Window
attachments control_blocks control_pipeline fit_hint hint_from_image identify load_controlnet patch_unet profile
register_adapter save_controlnet xray
"""

#: Parameters in order, `=` before those with a default, `*` before those that are given by name alone.
CALLS = {
    "identify": "path *=deep *=base_name",
    "load_controlnet": "path *=base *=pooled *=dtype *=device *=ops *=compile",
    "save_controlnet": "net path *=layout *=base *=progress",
    "ControlNet.from_unet": "unet *=hint_channels *=hint_init",
    "HintRouting.both": "",
    "HintRouting.cond_only": "",
    "HintRouting.uncond_only": "",
    "HintRouting.weighted": "=cond =uncond",
    "HintRouting.target_gain": "=gain",
    "BlockScales.uniform": "",
    "BlockScales.soft": "=base",
    "BlockScales.logspace": "",
    "BlockScales.resolution": "=normalised =reference",
    "BlockScales.webui": "",
    "BlockScales.custom": "numbers",
    "BlockScales.over_time": "self points",
    "BlockScales.at": "self percent",
    "BlockScales.values": "self block_sizes",
    "FrameStrengths.parse": "text",
    "FrameStrengths.at": "self picture",
    "FrameStrengths.weigh_masks": "self masks pictures",
    "ControlUnit": (
        "net hint =strength =routing =scales =start_percent =end_percent =mask =control_types "
        "=reuse_tolerance =window =order"
    ),
    "patch_unet": "unet units *=rows",
    "control_pipeline": "pipe units",
    "profile": "name",
    "Attachment.remove": "self",
    "ControlNet.forward": "self x hint timesteps context =y *=control_types",
    "UnionControlNet.forward": "self x hint timesteps context =y *=control_types",
    "register_adapter": "adapter",
    "hint_from_image": "image",
    "fit_hint": "hint height width =fit",
    "control_blocks": "model condition_channels *=channels_last_dim",
}

#: Command -> its arguments in order, then its options.
COMMANDS = {
    "demo": "--hint --draw --hint-is-edges --prompt --out --steps --cfg --seed",
    "identify": "files --json --deep",
    "convert": "input output --layout --base --pooled --dtype",
    "transfer": "input output --base --new-base",
    "extract-lora": "input output --base --rank --energy --json",
    "merge": "base lora output",
    "train": (
        "--out --tiny --base --config --controlnet --data --hint --validation --max-samples "
        "--skip-bad --size --steps --resume --accept-changed-data --stop-at-convergence "
        "--device --tracker --log-every --read-every --save-every --batch-size --accumulation "
        "--learning-rate --warmup --schedule --decay-steps --optimizer --lora-rank --weight-decay --beta1 "
        "--beta2 --max-grad-norm --prompt-dropout --hint-init --min-snr --ema --flip "
        "--precision --gradient-checkpointing --seed"
    ),
    "bench": (
        "--steps --training --training-memory --memory --prompts --loading --family --width "
        "--side --pictures --rounds --prompt-steps --ways --device --dtype --comfyui "
        "--comfyui-python --comfyui-options --compile --short --out --json"
    ),
}


def describe(parameter: inspect.Parameter) -> str:
    """Returns a parameter's name with the marks that `CALLS` explains."""
    by_name = "*" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else ""
    return by_name + ("" if parameter.default is inspect.Parameter.empty else "=") + parameter.name


def describe_command(parser: argparse.ArgumentParser) -> str:
    """Returns a command's arguments and options, without `--help`."""
    names = ["/".join(a.option_strings) or a.dest for a in parser._actions]
    return " ".join(name for name in names if name != "-h/--help")


def test_the_library_has_the_names_that_it_had() -> None:
    assert sorted(cn.__all__) == sorted(LIBRARY.split())
    assert all(hasattr(cn, name) for name in LIBRARY.split())


@pytest.mark.parametrize("path", CALLS)
def test_functions_take_what_they_took(path: str) -> None:
    thing: object = cn
    for name in path.split("."):
        thing = getattr(thing, name)
    assert callable(thing)
    parameters = inspect.signature(thing).parameters.values()
    assert " ".join(map(describe, parameters)) == CALLS[path]


def test_the_command_line_has_the_commands_and_options_that_it_had() -> None:
    (commands,) = (a for a in build_parser()._actions if isinstance(a.choices, dict))
    found = {name: describe_command(parser) for name, parser in commands.choices.items()}
    assert found == COMMANDS
