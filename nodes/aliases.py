"""Search words of the nodes. Newer front ends search them; older ones search only names."""

#: Node id -> words. Locales hold their translations, under `search_aliases`.
ALIASES: dict[str, tuple[str, ...]] = {
    "ApplyControlNet": (
        "cnet",
        "advanced controlnet",
        "controlnet guidance start end",
        "timestep range",
        "union controlnet",
        "control strength",
    ),
    "LoadControlNet": ("cnet loader", "union controlnet loader", "control lora loader"),
    "CFGHintRouting": (
        "guess mode",
        "control mode",
        "cond only",
        "uncond",
        "my prompt is more important",
        "controlnet is more important",
        "cfg guidance of the controlnet",
        "cnet routing",
    ),
    "BlockScaleSchedule": (
        "soft weights",
        "block weights",
        "controlnet weights",
        "strength curve",
        "strength schedule",
        "timestep keyframe",
        "layer weights",
        "cnet weights",
    ),
    "ControlXRay": (
        "see what controlnet does",
        "debug controlnet",
        "visualize controlnet",
        "compare block influence",
        "cnet x-ray",
    ),
    "IdentifyControlNet": (
        "which controlnet",
        "identify controlnet",
        "controlnet info",
        "is this a controlnet",
        "cnet file",
    ),
    "TrainControlNet": ("train controlnet", "controlnet training", "fine-tune controlnet", "cnet"),
    "SaveControlNet": ("export controlnet", "convert controlnet", "cnet saver"),
    "TinyTrainingSamples": ("training data", "example data set", "tiny controlnet data"),
    "DrawTinyHint": ("draw shape", "example hint", "test hint", "cnet hint"),
    "LoadTinyStableDiffusion": (
        "tiny model",
        "embedded model",
        "try without download",
        "cnet demo",
    ),
}
