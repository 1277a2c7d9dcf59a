"""The order of samples: once each before any comes again, buckets apart, the same from any step."""

from collections import Counter

import pytest

from cnet_core.training.order import SampleOrder

SQUARE, WIDE = (64, 64), (64, 96)


@pytest.mark.parametrize("batch", [1, 4, 5, 30])
def test_every_sample_comes_once_before_any_comes_again(batch: int) -> None:
    order = SampleOrder([SQUARE] * 10, batch, 0)
    stream = [v.index for step in range(60 // batch) for v in order.batch(step)]
    for epoch in range(len(stream) // 10):
        assert sorted(stream[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert stream[:10] != stream[10:20] or len(stream) < 20


def test_a_batch_has_one_size_and_all_sizes_come_as_often_as_they_are() -> None:
    sizes = [SQUARE] * 7 + [WIDE] * 3
    order = SampleOrder(sizes, 2, 0)
    seen: Counter[int] = Counter()
    for step in range(50):  # ten passes
        visits = order.batch(step)
        assert len({sizes[v.index] for v in visits}) == 1
        seen.update(v.index for v in visits)
    assert set(seen.values()) == {10}


def test_the_order_is_a_function_of_seed_and_step() -> None:
    sizes = [SQUARE] * 7 + [WIDE] * 3
    a, b = SampleOrder(sizes, 2, 3), SampleOrder(sizes, 2, 3)
    forward = [a.batch(step) for step in range(20)]
    assert [b.batch(step) for step in reversed(range(20))] == forward[::-1]
    assert [SampleOrder(sizes, 2, 4).batch(step) for step in range(20)] != forward


def test_no_two_visits_draw_the_same_numbers() -> None:
    order = SampleOrder([SQUARE] * 3 + [WIDE] * 3, 3, 0)
    visits = [v for step in range(8) for v in order.batch(step)]
    seeds = {v.generator(purpose).initial_seed() for v in visits for purpose in ("noise", "flip")}
    assert len(seeds) == 2 * len(visits)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        SampleOrder([], 1, 0)
