"""Union ControlNets: one or several typed hints, in a unit and alone."""

import pytest
import torch
from fakes import SMALL, call_inputs, random_hint, randomise_, small_net, small_unet
from files import equal_weights

import cnet_core as cn


def small_union(types: int = 8) -> cn.UnionControlNet:
    return randomise_(cn.UnionControlNet(SMALL, num_types=types), 1)


def residual(net: cn.ControlNet, hint: object, types: list[str] | None) -> torch.Tensor:
    middle = net(*with_hint(hint), control_types=types).middle
    assert middle is not None
    return middle


def with_hint(hint: object) -> tuple[object, ...]:
    x, timesteps, context = call_inputs()
    return x, hint, timesteps, context


def test_types_of_one_index_are_the_same_and_others_differ() -> None:
    net, hint = small_union(), random_hint()
    canny = residual(net, hint, ["canny"])
    assert torch.equal(canny, residual(net, hint, ["lineart"]))
    assert torch.equal(canny, residual(net, (hint,), ["canny/lineart/anime_lineart/mlsd"]))
    assert not torch.equal(canny, residual(net, hint, ["depth"]))
    assert not torch.equal(canny, residual(net, hint, None))


def test_hints_of_several_types_add_up_in_any_order() -> None:
    net, a, b = small_union(), random_hint(), random_hint(seed=9)
    both = residual(net, (a, b), ["depth", "tile"])
    torch.testing.assert_close(both, residual(net, (b, a), ["tile", "depth"]))
    features = net.hint_features(a, ["depth"]) + net.hint_features(b, ["tile"])
    torch.testing.assert_close(net.hint_features((a, b), ["depth", "tile"]), features)


def test_rows_do_not_depend_on_one_another() -> None:
    """Routing leaves rows out; the others must not notice."""
    net, hint = small_union(), random_hint()
    x, timesteps, context = call_inputs()
    whole = net(x, hint, timesteps, context, control_types=["tile"]).middle
    alone = net(x[1:], hint, timesteps[1:], context[1:], control_types=["tile"]).middle
    torch.testing.assert_close(whole[1:], alone)


def test_a_unit_takes_typed_hints_and_routes_them() -> None:
    hints, types = (random_hint(), random_hint(seed=9)), ("openpose", "repaint")
    net, unet = small_union(), small_unet()
    unit = cn.ControlUnit(net, hints, routing=cn.HintRouting.cond_only(), control_types=types)
    x, timesteps, context = call_inputs()
    plain = unet(x, timesteps, context)
    with cn.patch_unet(unet, unit) as attachment:
        controlled = unet(x, timesteps, context)
        assert attachment.counts.rows == 1
    assert torch.equal(controlled[0], plain[0])
    assert not torch.equal(controlled[1], plain[1])


BAD = {
    "unknown type": ((1, ["edges"]), "knows openpose, depth, hed/pidi"),
    "type of ProMax alone": ((1, ["tile"]), "`control_types` is"),
    "fewer types": ((2, ["depth"]), "one type for each hint"),
    "no type for two hints": ((2, None), "one type for each hint"),
    "empty": ((1, []), "one type for each hint"),
}


@pytest.mark.parametrize("case", BAD)
def test_types_that_do_not_fit_are_refused(case) -> None:
    (count, types), words = BAD[case]
    with pytest.raises(ValueError, match=words):
        cn.ControlUnit(small_union(6), (random_hint(),) * count, control_types=types)


def test_other_nets_take_neither_types_nor_tuples() -> None:
    with pytest.raises(ValueError, match=r"is for Union ControlNets.*Leave it out"):
        cn.ControlUnit(small_net(), random_hint(), control_types=["canny"])
    with pytest.raises(ValueError, match="only Union ControlNets take more"):
        cn.ControlUnit(small_net(), (random_hint(), random_hint()))


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
@pytest.mark.parametrize("types", [6, 8])
def test_a_saved_union_comes_back(tmp_path, layout, types) -> None:
    net = small_union(types)
    cn.save_controlnet(net, tmp_path / "x.safetensors", layout=layout)
    back = cn.load_controlnet(tmp_path / "x.safetensors")
    assert isinstance(back, cn.UnionControlNet)
    assert back.num_types == types
    assert equal_weights(back.state_dict(), net.state_dict())


@pytest.mark.parametrize("first", [True, False])
def test_one_hint_for_all_pictures_stands_beside_one_for_each(first: bool) -> None:
    one, each = random_hint(), torch.cat([random_hint(seed=5), random_hint(seed=6)])
    net, unet = small_union(), small_unet()
    x, timesteps, context = call_inputs()
    rows = [cn.Row("cond", 0), cn.Row("cond", 1)]

    def run(hints: tuple[torch.Tensor, ...], rows: list[cn.Row], which: slice) -> torch.Tensor:
        unit = cn.ControlUnit(net, hints, control_types=("openpose", "depth"))
        with cn.patch_unet(unet, unit, rows=rows):
            return unet(x[which], timesteps[which], context[which])

    found = run((one, each) if first else (each, one), rows, slice(None))
    for k in range(2):
        own = (one, each[k : k + 1]) if first else (each[k : k + 1], one)
        alone = run(own, [cn.Row("cond", 0)], slice(k, k + 1))
        torch.testing.assert_close(found[k : k + 1], alone)
