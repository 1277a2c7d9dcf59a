"""The bars of BlockScaleSchedule, as a person uses them."""

import re

import pytest
from front import Front, example, fixture
from single import alone

SCHEDULE = "BlockScaleSchedule"
SOFT = [
    0.0994,
    0.1205,
    0.1461,
    0.177,
    0.2146,
    0.2601,
    0.3153,
    0.3822,
    0.4633,
    0.5615,
    0.6806,
    0.825,
    1,
]
RAW = [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8]


def schedule(front: Front, **values) -> None:
    """Opens a graph with one schedule."""
    front.load(alone(SCHEDULE, front.host.info, values), SCHEDULE)


def over_bar(front: Front, bar: int) -> None:
    """Moves the pointer over a bar."""
    front.page.mouse.move(*centre(front, bar))
    front.page.wait_for_timeout(150)


def centre(front: Front, bar: int) -> tuple[float, float]:
    """Returns the middle of a bar's column."""
    box = front.page.locator(".cnet-bar").nth(bar).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.fixture
def opened(front: Front) -> Front:
    """A page with one schedule at its defaults."""
    schedule(front)
    return front


def test_the_profile_moves_the_bars(opened: Front) -> None:
    assert opened.bars() == SOFT
    opened.choose(SCHEDULE, "profile", "resolution_raw")
    assert opened.bars() == RAW
    assert opened.values(SCHEDULE)["custom_scales"] == ""


def test_a_moved_bar_makes_it_custom_and_undo_takes_it_back(opened: Front) -> None:
    opened.sweep((0.5 / 13, 0.5), (0.5 / 13, 0.25))
    values = opened.values(SCHEDULE)
    assert values["profile"] == "custom"
    numbers = [float(n) for n in values["custom_scales"].split(",")]
    assert numbers == [pytest.approx(0.75, abs=0.02), *SOFT[1:]]
    assert opened.bars() == numbers
    opened.press("Control+z")
    assert opened.values(SCHEDULE)["profile"] == "soft"
    assert opened.bars() == SOFT


def test_a_sweep_sets_every_bar_on_its_way(opened: Front) -> None:
    place = opened.saved()["nodes"][0]["pos"]
    opened.sweep((0.01, 0.99), (0.99, 0.01), steps=3)
    bars = opened.bars()
    assert bars == sorted(bars)
    assert bars == pytest.approx([(i + 0.5) / 13 for i in range(13)], abs=0.05)
    assert opened.saved()["nodes"][0]["pos"] == place, "the drag must not move the node"


def test_what_is_saved_prompted_and_loaded_again_is_the_same(opened: Front) -> None:
    opened.sweep((0.6, 0.7), (0.99, 0.2))
    bars, values = opened.bars(), opened.values(SCHEDULE)
    (node,) = opened.saved()["nodes"]
    assert node["widgets_values"] == list(values.values())
    assert opened.prompt()["1"]["inputs"] == values
    opened.load(opened.saved(), SCHEDULE)
    assert opened.bars() == bars
    assert opened.values(SCHEDULE) == values


def test_keys_change_and_walk_the_bars(opened: Front) -> None:
    opened.page.locator(".cnet-bar").first.focus()
    for keys in ("ArrowUp", "ArrowRight", "PageUp", "ArrowRight", "Home", "ArrowRight", "End"):
        opened.press(keys)
    assert opened.bars()[:4] == [0.1094, 0.2205, 0, 1]
    opened.press("0")
    opened.page.keyboard.type(".42")
    opened.press("Enter")
    assert opened.bars()[3] == 0.42
    assert len(opened.saved()["nodes"]) == 1


def test_a_screen_reader_is_told_each_bar(opened: Front) -> None:
    bars = opened.page.locator(".cnet-bars").get_by_role("slider")
    assert bars.count() == 13
    names = bars.evaluate_all("(bars) => bars.map((bar) => bar.getAttribute('aria-label'))")
    assert names[0] == "Block 0, full resolution"
    assert names[3] == "Block 3, ½ of the resolution"
    assert names[12] == "Middle, ⅛ of the resolution"
    assert len(set(names)) == 13
    assert opened.page.locator(".cnet-bars").get_attribute("aria-label") == "Scale of each block"


def test_ten_bars_for_sdxl_and_back(opened: Front) -> None:
    opened.page.locator(".cnet-tools select").select_option("10")
    assert opened.bars() == SOFT[3:]
    assert opened.values(SCHEDULE)["profile"] == "soft"
    opened.sweep((0.05, 0.5), (0.05, 0.5))
    assert len(opened.values(SCHEDULE)["custom_scales"].split(",")) == 10
    opened.page.locator(".cnet-tools select").select_option("13")
    assert len(opened.bars()) == 13


def test_copy_paste_and_reset(opened: Front) -> None:
    opened.page.locator(".cnet-copy").click()
    text = opened.page.evaluate("navigator.clipboard.readText()")
    assert [float(n) for n in text.split(",")] == SOFT
    opened.page.evaluate("navigator.clipboard.writeText('1, 2, 3, 4, 5, 6, 7, 8, 9, 10')")
    opened.page.locator(".cnet-bar").first.focus()
    opened.press("Control+v")
    assert opened.bars() == list(range(1, 11))
    assert len(opened.saved()["nodes"]) == 1, "nothing else was pasted"
    opened.page.locator(".cnet-reset").click()
    assert opened.values(SCHEDULE)["profile"] == "soft"
    assert opened.bars() == SOFT


@pytest.mark.parametrize("separator", [" ", "\n", "\t", "; ", ","])
def test_numbers_are_pasted_with_any_separator(opened: Front, separator: str) -> None:
    text = separator.join(str(n) for n in range(1, 11))
    opened.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    opened.page.locator(".cnet-bar").first.focus()
    opened.press("Control+v")
    assert opened.bars() == list(range(1, 11))


def test_points_are_pasted_drawn_for_each_number_of_blocks_and_kept(opened: Front) -> None:
    opened.page.evaluate("navigator.clipboard.writeText('0:0.25, 1:1')")
    opened.page.locator(".cnet-bar").first.focus()
    opened.press("Control+v")
    assert opened.bars() == pytest.approx([0.25 + 0.75 * i / 12 for i in range(13)], abs=1e-3)
    assert opened.values(SCHEDULE)["custom_scales"] == "0:0.25, 1:1"
    opened.page.locator(".cnet-tools select").select_option("10")
    assert opened.bars() == pytest.approx([0.25 + 0.75 * i / 9 for i in range(10)], abs=1e-3)
    assert opened.values(SCHEDULE)["custom_scales"] == "0:0.25, 1:1"


def test_the_row_of_tools_follows_the_pointer(opened: Front) -> None:
    shown = opened.page.locator(".cnet-chosen").first
    value = opened.page.locator(".cnet-value")
    assert (shown.text_content(), value.input_value()) == ("Block 0 · 1", "0.0994")
    over_bar(opened, 12)
    assert (shown.text_content(), value.input_value()) == ("Middle · ⅛", "1")
    opened.page.mouse.move(5, 5)
    opened.page.wait_for_timeout(150)
    assert shown.text_content() == "Block 0 · 1"


def test_one_bar_is_marked_after_a_sweep(opened: Front) -> None:
    opened.sweep((0.5 / 13, 0.5), (3.5 / 13, 0.5))
    focused = opened.page.evaluate(
        "() => [...document.querySelectorAll('.cnet-bar')].indexOf(document.activeElement)"
    )
    chosen = opened.page.evaluate(
        "() => [...document.querySelectorAll('.cnet-bar')].findIndex((bar) => bar.tabIndex === 0)"
    )
    assert focused == chosen == 3


def test_a_double_click_gives_a_bar_its_profiles_value_again(opened: Front) -> None:
    opened.sweep((0.5 / 13, 0.5), (3.5 / 13, 0.5))
    opened.page.mouse.dblclick(*centre(opened, 1))
    assert opened.bars()[1] == SOFT[1]
    assert opened.bars()[2] != SOFT[2]


def test_a_negative_scale_hangs_below_zero(front: Front) -> None:
    schedule(front, profile="custom", custom_scales=", ".join(["-1", *["1"] * 12]))
    assert front.bars()[0] == -1
    negative, positive = (front.page.locator(".cnet-bar").nth(i) for i in (0, 1))
    style = "(bar) => [getComputedStyle(bar, '::before').bottom, getComputedStyle(bar, '::before').height]"
    (low, depth), (zero, height) = negative.evaluate(style), positive.evaluate(style)
    assert float(low[:-2]) == 0
    assert float(depth[:-2]) == pytest.approx(float(height[:-2]), abs=1)
    assert float(zero[:-2]) == pytest.approx(float(depth[:-2]), abs=1)


def test_custom_begins_with_the_bars_there_are(opened: Front) -> None:
    opened.choose(SCHEDULE, "profile", "custom")
    assert opened.bars() == SOFT


def test_typed_numbers_make_it_custom(opened: Front) -> None:
    field = opened.page.locator("textarea").first
    field.click()
    field.fill(", ".join(["0.5"] * 13))
    assert opened.bars() == [0.5] * 13
    assert opened.values(SCHEDULE)["profile"] == "custom"


def test_a_wrong_number_of_values_is_said(front: Front) -> None:
    schedule(front, profile="custom", custom_scales="1, 2, 3")
    assert front.bars() == [1, 2, 3]
    status = front.page.locator(".cnet-status").first.text_content()
    assert status.startswith("3 numbers: SD1.x needs 13, SDXL 10")
    assert "Points such as 0:0.2, 1:1 fit any." in status


def test_the_time_curve_is_drawn_and_dragged(front: Front) -> None:
    schedule(front, time_curve="0:1, 0.5:0.4")
    knobs = front.page.locator(".cnet-knob")
    assert knobs.count() == 2
    knobs.nth(1).focus()
    front.press("ArrowUp")
    front.press("ArrowRight")
    assert front.values(SCHEDULE)["time_curve"] == "0:1, 0.51:0.41"
    area = front.page.locator(".cnet-knobs").bounding_box()
    front.page.mouse.click(area["x"] + 0.8 * area["width"], area["y"] + 0.5 * area["height"])
    assert front.values(SCHEDULE)["time_curve"].startswith("0:1, 0.51:0.41, 0.8:0.")
    front.press("Delete")
    front.page.locator(".cnet-clear").click()
    assert front.values(SCHEDULE)["time_curve"] == ""


def test_a_graph_of_the_first_version_means_the_same(front: Front) -> None:
    graph = fixture("first_version")
    front.load(graph, SCHEDULE)
    saved = [n["widgets_values"] for n in graph["nodes"] if n["type"] == SCHEDULE]
    found = [n["inputs"] for n in front.prompt().values() if n["class_type"] == SCHEDULE]
    names = ("profile", "base", "custom_scales")
    assert [[node[name] for name in names] for node in found] == saved
    assert all(node["time_curve"] == "" for node in found)
    front.host.run(front.prompt())


def test_a_subgraph_keeps_the_values(opened: Front) -> None:
    opened.sweep((0.6, 0.7), (0.99, 0.2))
    values = opened.values(SCHEDULE)
    opened.page.evaluate("() => { app.graph.convertToSubgraph(new Set(app.graph._nodes)); }")
    (node,) = opened.prompt().values()
    assert node["inputs"] == values


def test_copying_starts_no_timers_that_nobody_stops(opened: Front) -> None:
    started = opened.page.evaluate("""() => {
        const real = window.setInterval;
        let started = 0;
        window.setInterval = (...values) => { started++; return real(...values); };
        try { app.canvas.copyToClipboard(app.graph._nodes); } finally { window.setInterval = real; }
        return started;
    }""")
    assert started == 0
    assert opened.bars() == SOFT


def test_the_wheel_and_the_middle_button_are_the_graphs(opened: Front) -> None:
    view = "[app.canvas.ds.scale, ...app.canvas.ds.offset]"
    area = opened.page.locator(".cnet-bars").bounding_box()
    mouse = opened.page.mouse
    mouse.move(area["x"] + 0.5 * area["width"], area["y"] + 0.5 * area["height"])
    scale, *_ = opened.page.evaluate(view)
    mouse.wheel(0, -120)
    opened.page.wait_for_timeout(300)
    zoomed, *place = opened.page.evaluate(view)
    assert zoomed > scale
    mouse.down(button="middle")
    mouse.move(area["x"] + 0.5 * area["width"] + 60, area["y"] + 0.5 * area["height"], steps=4)
    mouse.up(button="middle")
    opened.page.wait_for_timeout(300)
    assert opened.page.evaluate(view)[1] > place[0] + 20
    assert opened.bars() == SOFT


def test_the_routing_shows_its_gains(front: Front) -> None:
    front.load(example("2 Both or cond only"), "CFGHintRouting")
    front.choose("CFGHintRouting", "mode", "target_gain")
    front.page.wait_for_timeout(300)
    told = front.page.locator(".cnet-diagram").first.get_attribute("aria-label")
    assert re.findall(r"[\d.]*\d", told)[1:] == ["0.8462", "7.5", "2"]


def test_the_routing_shows_each_of_its_stages(front: Front) -> None:
    values = {"mode": "both", "time_curve": "0.4:cond_only, 0.8:none"}
    front.load(alone("CFGHintRouting", front.host.info, values), "CFGHintRouting")
    front.page.wait_for_timeout(300)
    stages = front.page.locator(".cnet-stages > button")
    assert stages.all_inner_texts() == ["both", "cond_only", "none"]
    widths = [stages.nth(i).bounding_box()["width"] for i in range(3)]
    assert widths[0] > 1.5 * widths[2]
    told = []
    for index in range(3):
        stages.nth(index).click()
        assert stages.nth(index).get_attribute("aria-pressed") == "true"
        label = front.page.locator(".cnet-diagram").first.get_attribute("aria-label")
        told.append(re.findall(r"[\d.]*\d", label))
    assert told == [["1", "1", "7.5", "1"], ["1", "0", "7.5", "7.5"], ["0", "0", "7.5", "0"]]
    front.choose("CFGHintRouting", "time_curve", "0.4:sideways")
    front.page.wait_for_timeout(300)
    assert "0:both, 0.4:cond_only" in front.page.locator(".cnet-status:visible").first.inner_text()
    front.choose("CFGHintRouting", "time_curve", "")
    front.page.wait_for_timeout(300)
    assert front.page.locator(".cnet-stages:visible").count() == 0
