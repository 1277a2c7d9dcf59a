"""control_pipeline on pipelines that are not what they seem: unknown branches, no way to follow their steps."""

from typing import Any

import pytest
import torch
from fakes import call_inputs, random_hint, small_net, small_unet

import cnet_core as cn


class Pipeline:
    """A guided pipeline of one step whose UNet gets each picture in this many branches."""

    guidance_scale = 5.0
    do_classifier_free_guidance = True
    num_timesteps = 1

    def __init__(self, branches: int) -> None:
        self.unet = small_unet()
        self.branches = branches

    def __call__(self, pictures: int, callback_on_step_end: Any = None, **more: Any) -> None:
        latents, _, context = call_inputs(pictures)
        rows = self.branches * pictures
        self.unet(
            latents.repeat(self.branches, 1, 1, 1),
            torch.full((rows,), 500.0),
            context[:1].expand(rows, -1, -1),
        )
        callback_on_step_end(self, 0, 500, {"latents": latents})


@pytest.mark.parametrize("branches", [1, 3, 4])
@pytest.mark.parametrize("pictures", [1, 2, 3, 4])
def test_branches_that_nobody_knows_are_refused_for_every_number_of_pictures(
    branches: int, pictures: int
) -> None:
    pipe = Pipeline(branches)
    unit = cn.ControlUnit(small_net(), random_hint())
    with pytest.raises(ValueError, match=r"cannot be divided into 2 equal parts|in the wrong rows"):
        cn.control_pipeline(pipe, unit)(pictures)
    assert cn.attachments(pipe.unet) == ()


def test_the_guard_lets_known_branches_pass() -> None:
    controlled = cn.control_pipeline(Pipeline(2), cn.ControlUnit(small_net(), random_hint()))
    controlled(3)
    controlled(3, callback_on_step_end=lambda pipe, index, timestep, tensors: tensors)
    assert controlled.record.calls[0].rows[3].branch == "cond"


def test_a_callback_may_be_given_by_position() -> None:
    seen: list[int] = []

    def note(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(index)
        return tensors

    cn.control_pipeline(Pipeline(2), cn.ControlUnit(small_net(), random_hint()))(1, note)
    assert seen == [0]


class Silent(Pipeline):
    """A pipeline without a callback at the end of a step."""

    def __call__(self, pictures: int) -> None:  # type: ignore[override]
        pass


def test_pipelines_that_cannot_be_followed_are_one_sentence() -> None:
    unit = cn.ControlUnit(small_net(), random_hint())
    with pytest.raises(
        TypeError, match=r"is a Silent, which has no `callback_on_step_end`;.*rows="
    ) as error:
        cn.control_pipeline(Silent(2), unit)
    assert "\n" not in str(error.value)
    with pytest.raises(TypeError, match=r"is a object, which has no `unet`, `guidance_scale`"):
        cn.control_pipeline(object(), unit)  # type: ignore[arg-type]
