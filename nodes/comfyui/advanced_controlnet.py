"""What is fitted to ComfyUI-Advanced-ControlNet and ComfyUI-AnimateDiff-Evolved (both by Kosinkadink).

AnimateDiff-Evolved takes controls with the attribute `sub_idxs` alone, and writes to it. Advanced-ControlNet's Apply
nodes take such controls for their own and call the members below.
"""


class TakenForAdvanced:
    """What Advanced-ControlNet's Apply nodes call besides `set_cond_hint_mask`; its own kinds of weights raise."""

    allow_condhint_latents = False
    postpone_condhint_latents_check = False
    require_vae = False
    sub_idxs: list[int] | None = None

    def disarm(self) -> None:
        """There is nothing to disarm."""

    def verify_all_weights(self) -> None:
        """There are no weights of its kind."""

    def set_timestep_keyframes(self, keyframes: object) -> None:
        """Refuses its keyframes."""
        raise _refusal("timestep_kf", "`time_curve` of Block-Scale Schedule")

    @property
    def latent_keyframe_override(self) -> None:
        """Nothing; setting it raises."""

    @latent_keyframe_override.setter
    def latent_keyframe_override(self, keyframes: object) -> None:
        raise _refusal("latent_kf_override", "one mask per picture on Route ControlNet")

    @property
    def weights_override(self) -> None:
        """Nothing; setting it raises."""

    @weights_override.setter
    def weights_override(self, weights: object) -> None:
        raise _refusal("weights_override", "`scales` of Route ControlNet")


def _refusal(argument: str, instead: str) -> ValueError:
    return ValueError(
        f"`{argument}` does not work with this ControlNet. Use {instead}, or load the file with a loader of "
        "Advanced-ControlNet."
    )
