"""What published files are, and keys that mark files of other kinds."""

#: File of tests/keys -> format, family, blocks, parameters in millions (as published), types of a Union
PUBLISHED = {
    "sd15_v10_full": ("full ldm checkpoint", "SD1.x", 13, 361.3, 0),
    "sd15_v11": ("ldm", "SD1.x", 13, 361.3, 0),
    "sd15_difference": ("difference", "SD1.x", 13, 361.3, 0),
    "sd21": ("ldm", "SD2.x", 13, 364.2, 0),
    "sd21_diffusers": ("diffusers", "SD2.x", 13, 364.2, 0),
    "sdxl_full": ("diffusers", "SDXL", 10, 1251.0, 0),
    "sdxl_mid": ("diffusers", "SDXL mid", 10, 270.9, 0),
    "sdxl_small": ("diffusers", "SDXL small", 10, 160.1, 0),
    "sdxl_union_6": ("diffusers", "SDXL", 10, 1256.0, 6),
    "sdxl_union_8": ("diffusers", "SDXL", 10, 1256.6, 8),
    "control_lora_128": ("control-lora", "SDXL", 10, 197.8, 0),
    "control_lora_256": ("control-lora", "SDXL", 10, 387.1, 0),
}

#: Kind -> keys that mark it.
FOREIGN = {
    "T2I-Adapter": ["body.0.in_conv.weight", "body.0.body.0.block1.weight"],
    "T2I-Adapter ": ["adapter.conv_in.weight", "adapter.body.0.resnets.0.block1.weight"],
    "LoRA": ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight"],
    "LoRA ": ["unet.down_blocks.0.attentions.0.processor.to_q_lora.up.weight"],
    "ControlNet-LLLite": ["lllite_unet_input_blocks_4_1.conditioning1.0.weight"],
    "ControlNet-XS": [
        "controlnet_cond_embedding.conv_in.weight",
        "control_to_base_for_conv_in.weight",
    ],
    "Flux ControlNet": ["controlnet_blocks.0.weight", "controlnet_x_embedder.weight"],
    "Qwen-Image ControlNet": [
        *("controlnet_blocks.0.weight", "controlnet_x_embedder.weight", "txt_norm.weight"),
    ],
    "Qwen-Image Fun ControlNet": ["control_blocks.0.after_proj.weight", "control_img_in.weight"],
    "HunyuanDiT ControlNet": ["after_proj_list.18.bias"],
    "SD3.5 ControlNet": [
        *("controlnet_blocks.0.weight", "pos_embed_input.proj.weight"),
        "transformer_blocks.0.adaLN_modulation.1.bias",
    ],
    "Stable Cascade ControlNet": ["backbone.0.0.weight"],
    "SD3 ControlNet": ["controlnet_blocks.0.weight", "pos_embed_input.proj.weight"],
    "IP-Adapter": ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"],
    "full Stable Diffusion checkpoint": ["model.diffusion_model.input_blocks.0.0.weight"],
    "UNet": [
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "output_blocks.0.0.in_layers.0.weight",
    ],
    "VAE": ["encoder.conv_in.weight", "decoder.conv_out.weight"],
    "text encoder": ["text_model.embeddings.position_embedding.weight"],
    "embedding": ["emb_params"],
    "unknown kind": ["a", "b"],
}
