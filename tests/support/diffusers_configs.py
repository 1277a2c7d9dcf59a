"""Configs of diffusers' ControlNets and UNets: which compute here as there, which are refused, what fields mean."""

from typing import Any

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
SD = {
    "block_out_channels": (32, 64, 64, 128),
    "down_block_types": (CROSS, CROSS, CROSS, PLAIN),
    "layers_per_block": 1,
    "cross_attention_dim": 24,
    "attention_head_dim": 8,
}
LINEAR = {"use_linear_projection": True}
XL = {
    **LINEAR,
    "block_out_channels": (32, 64, 128),
    "down_block_types": (PLAIN, CROSS, CROSS),
    "transformer_layers_per_block": (1, 1, 2),
    "layers_per_block": 1,
    "cross_attention_dim": 24,
    "attention_head_dim": (1, 2, 4),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 16 + 6 * 8,
}
UPS = {
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "sample_size": 8,
}

#: What changes in SD's config, and computes here as there.
EQUAL: dict[str, dict[str, Any]] = {
    "one number": {},
    "one head": {"attention_head_dim": 1},
    "32 heads": {"attention_head_dim": 32},
    "16 heads, linear": {"attention_head_dim": 16, **LINEAR},
    "heads that fall": {"attention_head_dim": (8, 4, 2, 2)},
    "heads that rise and fall": {"attention_head_dim": (4, 8, 8, 4)},
    "heads that rise too fast": {"attention_head_dim": (1, 4, 16, 32)},
    "heads of one width": {"attention_head_dim": (1, 2, 2, 4)},
    "heads of half that width": {"attention_head_dim": (2, 4, 4, 8)},
    "heads of one width but in the middle": {"attention_head_dim": (1, 2, 2, 8)},
    "the same heads by level": {"attention_head_dim": (4, 4, 4, 4)},
    "heads that fall, linear": {"attention_head_dim": (8, 4, 2, 2), **LINEAR},
    "heads of one width, linear": {"attention_head_dim": (1, 2, 2, 4), **LINEAR},
    "num_attention_heads": {"num_attention_heads": 4},
    "num_attention_heads by level": {"num_attention_heads": (8, 2, 4, 1)},
    "both fields, which differ": {"num_attention_heads": (1, 2, 4, 8), "attention_head_dim": 2},
    "deep blocks": {"transformer_layers_per_block": 2},
    "deep blocks by level": {"transformer_layers_per_block": (1, 2, 1, 3)},
    "two layers": {"layers_per_block": 2, "attention_head_dim": (2, 8, 4, 16)},
    "no attention above": {
        "down_block_types": (PLAIN, PLAIN, CROSS, PLAIN),
        "attention_head_dim": (32, 1, 8, 4),
    },
    "attention everywhere": {
        "down_block_types": (CROSS,) * 4,
        "attention_head_dim": (1, 8, 2, 16),
    },
    "two levels": {
        "block_out_channels": (32, 64),
        "down_block_types": (CROSS, PLAIN),
        "attention_head_dim": (2, 8),
    },
    "upcast attention": {"upcast_attention": True},
    "swish": {"act_fn": "swish"},
    "BGR": {"controlnet_conditioning_channel_order": "bgr"},
    "BGR of five channels": {
        "controlnet_conditioning_channel_order": "bgr",
        "conditioning_channels": 5,
    },
    "one hint channel": {"conditioning_channels": 1},
    "pooled": {"global_pool_conditions": True},
    "pooled BGR, heads by level": {
        "global_pool_conditions": True,
        "controlnet_conditioning_channel_order": "bgr",
        "attention_head_dim": (8, 4, 2, 2),
    },
    "nine latent channels": {"in_channels": 9},
    "SDXL": XL,
    "SDXL, heads by level": {**XL, "attention_head_dim": (1, 8, 2)},
    "SDXL, one number": {**XL, "attention_head_dim": 4},
    "SDXL, num_attention_heads": {**XL, "num_attention_heads": (1, 4, 16)},
    "SDXL, BGR": {**XL, "controlnet_conditioning_channel_order": "bgr"},
    "middle of one residual block": {
        "mid_block_type": "UNetMidBlock2D",
        "attention_head_dim": (8, 4, 2, 2),
    },
}
#: What is refused: the field, and its value.
REFUSED: dict[str, Any] = {
    "act_fn": "gelu",
    "addition_embed_type": "text",
    "attention_head_dim": (8, 8),
    "class_embed_type": "identity",
    "conditioning_embedding_out_channels": (16, 32, 64, 256),
    "controlnet_conditioning_channel_order": "gbr",
    "down_block_types": ("SimpleCrossAttnDownBlock2D", CROSS, CROSS, PLAIN),
    "downsample_padding": 0,
    "encoder_hid_dim": 12,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "mid_block_scale_factor": 2.0,
    "norm_eps": 1e-3,
    "norm_num_groups": 16,
    "num_class_embeds": 3,
    "only_cross_attention": (False, True, False, False),
    "resnet_time_scale_shift": "scale_shift",
}
#: The same for UNets, beyond what both classes have.
UNET_REFUSED: dict[str, Any] = {
    "attention_type": "gated",
    "center_input_sample": True,
    "class_embeddings_concat": True,
    "conv_in_kernel": 5,
    "conv_out_kernel": 1,
    "cross_attention_norm": "layer_norm",
    "dual_cross_attention": True,
    "mid_block_only_cross_attention": True,
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "resnet_out_scale_factor": 1.4,
    "resnet_skip_time_act": True,
    "time_cond_proj_dim": 16,
    "time_embedding_act_fn": "silu",
    "time_embedding_type": "fourier",
    "timestep_post_act": "silu",
    "up_block_types": ("UpBlock2D", *("SimpleCrossAttnUpBlock2D",) * 3),
}
UNET_EQUAL = (
    *("one number", "heads that fall", "heads that rise and fall", "heads of one width"),
    *("heads that fall, linear", "deep blocks", "two layers", "upcast attention", "SDXL"),
    *("SDXL, heads by level", "heads of one width but in the middle", "attention everywhere"),
)
#: Fields that shapes tell, and those without a say in the result.
BY_SHAPES = {
    *("in_channels", "out_channels", "conditioning_channels", "block_out_channels"),
    *("layers_per_block", "cross_attention_dim", "transformer_layers_per_block"),
    *("reverse_transformer_layers_per_block", "use_linear_projection", "time_embedding_dim"),
    *("projection_class_embeddings_input_dim", "addition_time_embed_dim", "num_control_type"),
    *("num_trans_channel", "num_trans_layer", "num_proj_channel"),
}
#: upcast_attention has no part in the attention that diffusers uses with torch 2; a Union's token sees itself alone.
WITHOUT_EFFECT = {
    *("sample_size", "dropout", "upcast_attention", "addition_embed_type_num_heads"),
    "num_trans_head",
}
READ = {"attention_head_dim", "num_attention_heads", "global_pool_conditions"}
