"""Operations are counted by kind, and those that write memory apart from views."""

import torch

from cnet_core.bench.operations import operations


def test_views_and_memory_that_stays_unwritten_write_nothing() -> None:
    x, parts = torch.ones(2, 6), []

    def work() -> None:
        parts.extend(x.view(3, 4).transpose(0, 1).split(2))
        parts.append(torch.empty(2))

    counted = operations(work)
    assert counted.kinds == {
        "aten.view.default": 1,
        "aten.transpose.int": 1,
        "aten.split.Tensor": 1,
        "aten.empty.memory_format": 1,
    }
    assert counted.writing.total() == 0


def test_sums_in_and_out_of_place_and_products_write() -> None:
    x, weight = torch.ones(2, 6), torch.ones(3, 6)
    counted = operations(lambda: (torch.nn.functional.linear(x + 1, weight), x.add_(1)))
    assert counted.kinds == counted.writing
    assert counted.kinds["aten.add.Tensor"] == counted.kinds["aten.add_.Tensor"] == 1
    assert counted.kinds.total() == 3


def test_a_reshape_writes_only_when_it_copies() -> None:
    x = torch.ones(2, 6)
    assert operations(lambda: x.reshape(3, 4)).writing.total() == 0
    assert operations(lambda: x.t().reshape(3, 4)).writing == {
        "aten.t.default": 0,
        "aten.reshape.default": 1,
    }
