"""The picture and the words of a record."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from contrast import READABLE, contrast
from fake_hosts import known_call, known_unit, make_fake_unet

import cnet_core as cn
from cnet_core.training import plots
from cnet_core.xray import picture, style


@pytest.fixture
def record() -> cn.xray.Record:
    """Four steps: cond alone, from the third on nothing."""
    unet, (x, t, context) = make_fake_unet(), known_call()
    unit = known_unit(end_percent=0.6, routing=cn.HintRouting.cond_only())
    with cn.patch_unet(unet, unit) as control:
        control.cfg_scale = 5.0
        for timestep in (999, 700, 300, 1):
            unet(x, torch.full_like(t, timestep), context)
    return control.record


def test_the_words_name_gains_and_skipped_steps(record: cn.xray.Record) -> None:
    text = cn.xray.describe(record)
    assert "4 steps" in text
    assert "CFG scale 5" in text
    assert "steps 0-1: cond gain 1 (evaluated), uncond gain 0 (skipped), after guidance 5\n" in text
    assert "steps 2-3: cond gain 0 (skipped), uncond gain 0 (skipped), after guidance 0" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("middle"))
    mean = record.ratios("cond")[3, :2].mean()
    assert f"{mean:.3g} (" in line


def test_reused_rows_are_named(record: cn.xray.Record) -> None:
    first, *others = record.calls
    reused = replace(first, states=(("skipped", "reused"),))
    text = cn.xray.describe(cn.xray.Record((reused, *others)))
    assert "step 0: cond gain 1 (reused)" in text
    assert "step 1: cond gain 1 (evaluated)" in text


def test_the_influence_is_in_the_words(record: cn.xray.Record) -> None:
    text = cn.xray.describe(record, cn.xray.Influence((0.1, 0.2, 0.3, 0.4), 0.05))
    assert "40.0 %" in next(line for line in text.splitlines() if line.strip().startswith("middle"))
    assert "5 % of the prediction" in text


def test_tables_stay_tables_in_markdown(record: cn.xray.Record) -> None:
    """An indented line is code there if no paragraph is right above it."""
    lines = cn.xray.describe(record, cn.xray.Influence((0.1, 0.2, 0.3, 0.4), 0.05)).splitlines()
    indented = [line.startswith("    ") for line in lines]
    assert sum(indented) == 1 + 4 + 2
    for above, line, is_code, above_is_code in zip(
        lines, lines[1:], indented[1:], indented, strict=False
    ):
        assert above_is_code or not above if is_code else not (above_is_code and line)


def test_the_map_shows_ratio_by_block_and_step(record: cn.xray.Record) -> None:
    image = np.asarray(picture.draw_body(record, None, float(record.ratios("cond").max())))
    ratios = record.ratios("cond")
    shades = np.zeros((4, 4))
    for block in range(4):
        for step in range(4):
            y = picture.TOP + block * picture.CELL + picture.CELL // 2
            x = picture.LEFT + int((step + 0.5) * picture.WIDTH / 4)
            shades[block, step] = image[y, x].astype(float).sum()
            if step > 1:
                assert tuple(image[y, x]) == picture.NOTHING
    order = np.argsort(ratios[:, :2].ravel())
    assert (np.diff(shades[:, :2].ravel()[order]) >= 0).all()  # more is brighter
    assert len(np.unique(shades[:, :2])) > 2


def test_runs_of_any_length_and_without_guidance_are_drawn(record: cn.xray.Record) -> None:
    alone = tuple(
        replace(
            call,
            rows=(cn.Row("cond"),),
            gains=((1.0,),),
            states=(("evaluated",),),
            residuals=np.ones((4, 1)),
            features=np.ones((4, 1)),
            percent=k / 500,
        )
        for k, call in enumerate(record.calls * 100)
    )
    narrow = cn.xray.draw(cn.xray.Record(alone))
    assert narrow.width < cn.xray.draw(record).width
    assert cn.xray.draw(cn.xray.Record(alone[:1])).size == narrow.size


def test_a_record_of_nothing_says_so() -> None:
    assert "Nothing was recorded" in cn.xray.describe(cn.xray.Record(()))
    assert cn.xray.draw(cn.xray.Record(())).width > 0
    unet = make_fake_unet()
    with cn.patch_unet(unet, known_unit(strength=0.0)) as control:
        unet(*known_call())
    assert "Nothing was injected" in cn.xray.describe(control.record)
    assert cn.xray.draw(control.record).width > 0


@pytest.mark.parametrize("module", [style, plots], ids=["x-ray", "plot"])
def test_all_words_stand_out_from_their_ground(module: ModuleType) -> None:
    for colour in (module.INK, module.FAINT):
        assert contrast(colour, module.PAPER) > READABLE
