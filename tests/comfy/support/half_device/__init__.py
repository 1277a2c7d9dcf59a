"""Makes ComfyUI believe that the CPU computes in the half precision that its command line names for UNets."""

import comfy.model_management
from comfy.cli_args import args


def _fp16(*_args, **_options):
    return args.fp16_unet


def _bf16(*_args, **_options):
    return args.bf16_unet


comfy.model_management.should_use_fp16 = _fp16
comfy.model_management.should_use_bf16 = _bf16
NODE_CLASS_MAPPINGS = {}
