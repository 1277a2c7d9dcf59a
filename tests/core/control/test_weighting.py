"""The order of pooling, scaling and masking."""

import pytest
import torch

from cnet_core.control.weighting import POOL_FIRST, check_order, resize_mask, weigh

#: A residual whose mean is 3, and a mask of its left half.
BLOCK = torch.tensor([[[[1.0, 5.0], [1.0, 5.0]]]])
LEFT = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])


@pytest.mark.parametrize(
    ("order", "want"),
    [
        (POOL_FIRST, [[6.0, 0.0], [6.0, 0.0]]),  # the mean, times 2, in the left half
        (("scale", "pool", "mask"), [[6.0, 0.0], [6.0, 0.0]]),
        (("scale", "mask", "pool"), [[1.0, 1.0], [1.0, 1.0]]),  # the mean of what the mask left
    ],
)
def test_a_mask_before_pooling_weakens_and_after_it_cuts_out(order, want) -> None:
    assert weigh(BLOCK, order, 2.0, LEFT, pooled=True)[0, 0].tolist() == want


@pytest.mark.parametrize("order", [POOL_FIRST, ("scale", "mask", "pool")])
def test_a_net_that_is_not_pooled_is_masked_pixel_by_pixel_in_any_order(order) -> None:
    assert weigh(BLOCK, order, 2.0, LEFT, pooled=False)[0, 0].tolist() == [[2, 0], [2, 0]]


@pytest.mark.parametrize(("mode", "want"), [("area", 0.5), ("bilinear", 1.0)])
def test_masks_are_averaged_or_sampled(mode: str, want: float) -> None:
    mask = torch.tensor(
        [[0.0, 1.0, 1.0, 0.0]] * 4
    )  # sampling between the middle pixels sees 1 only
    assert resize_mask(mask, torch.zeros(1, 1, 1, 1), mode).item() == want


@pytest.mark.parametrize("order", [("pool", "scale"), ("pool", "mask", "mask_bilinear", "scale")])
def test_an_order_that_lacks_or_repeats_a_stage_is_refused(order) -> None:
    with pytest.raises(ValueError, match="each once"):
        check_order(order)
