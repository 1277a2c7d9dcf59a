"""ControlNet's block for any network, and the paper's argument about the gradients of zero convolutions."""

from copy import deepcopy

import pytest
import torch
from fakes import call_inputs, random_hint, small_unet
from torch import Tensor, nn

import cnet_core as cn
from cnet_core.generic.control_block import ZeroConv


class SelfAttention(nn.MultiheadAttention):
    """Called with one tensor; gives its weights too."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x, x, x)


def stage() -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, 2, 1), nn.GroupNorm(2, 6))


#: name -> (block, shape of x, channels last)
BLOCKS = {
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3), (2, 4, 9), False),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2), (2, 4, 9, 7), False),
    "Conv3d": (lambda: nn.Conv3d(4, 6, 3, padding=1), (2, 4, 5, 4, 3), False),
    "Linear": (lambda: nn.Linear(4, 6), (2, 5, 4), True),
    "Linear on a row": (lambda: nn.Linear(4, 6), (2, 4), False),
    "attention": (lambda: SelfAttention(4, 2, batch_first=True), (2, 5, 4), True),
    "stage, in place at first": (stage, (2, 4, 8, 8), False),
}


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def condition_shape(shape: tuple[int, ...], last: bool) -> tuple[int, ...]:
    return (*shape[:-1], 3) if last else (shape[0], 3, *shape[2:])


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize(("make", "shape", "last"), BLOCKS.values(), ids=BLOCKS)
def test_the_output_is_equation_2(make, shape, last: bool) -> None:
    torch.manual_seed(0)
    block = make()
    x, c = tensors(shape, condition_shape(shape, last))
    control = cn.ControlBlock(deepcopy(block), 3, channels_last_dim=last)
    assert torch.equal(first(control(x.clone(), c)), first(block(x.clone())))  # step 0, bit for bit
    for parameter in control.trainable_parameters():
        nn.init.normal_(parameter, std=0.3)
    z_in, z_out = control.control.zero_in, control.control.zero_out
    dim = -1 if last else 1
    entered = x + (c.movedim(dim, -1) @ z_in.weight.T + z_in.bias).movedim(-1, dim)
    copied = first(control.control.copy(entered)).movedim(dim, -1)
    want = first(block(x.clone())) + (copied @ z_out.weight.T + z_out.bias).movedim(-1, dim)
    torch.testing.assert_close(first(control(x.clone(), c)), want)


def test_the_locked_block_is_frozen_and_keeps_its_keys() -> None:
    block = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5))
    before = {k: v.clone() for k, v in block.state_dict().items()}
    control = cn.ControlBlock(block, 3, in_channels=4, out_channels=6).train()
    x, c = tensors((2, 4, 8, 8), (2, 3, 8, 8))
    optimizer = torch.optim.SGD(control.trainable_parameters(), 0.1)
    control(x, c).square().mean().backward()
    optimizer.step()
    keys = control.state_dict()
    assert all(torch.equal(keys[k], v) for k, v in before.items())
    assert all(k.startswith("control.") for k in keys.keys() - before.keys())
    other = nn.ModuleDict({"a": cn.ControlBlock(deepcopy(block), 3)})
    other.load_state_dict({f"a.{k}": v for k, v in keys.items()})
    assert torch.equal(other.eval()["a"](x, c), control.eval()(x, c))


def test_the_copy_is_saved_and_loaded_alone(tmp_path) -> None:
    block = nn.Conv2d(4, 6, 3)
    x, c = tensors((2, 4, 8, 8), (2, 3, 8, 8))
    control = cn.ControlBlock(block, 3, in_channels=4, out_channels=6)
    for parameter in control.trainable_parameters():
        nn.init.normal_(parameter)
    control.save(tmp_path / "copy.safetensors")
    again = cn.ControlBlock(block, 3)
    again.load(tmp_path / "copy.safetensors")
    assert torch.equal(again(x, c), control(x, c))
    with pytest.raises(
        ValueError, match=r"does not fit a ControlBranch: 2 of another shape .*zero_in.weight"
    ):
        cn.ControlBlock(nn.Conv2d(4, 6, 1), 5).load(tmp_path / "copy.safetensors")


def moved(modules: dict[str, nn.Module]) -> set[str]:
    """Which of them have a gradient that is not 0."""
    return {
        name
        for name, module in modules.items()
        if any(p.grad is not None and p.grad.any() for p in module.parameters())
    }


def descend(modules: dict[str, nn.Module], loss_of, steps: int) -> list[set[str]]:
    """Which modules have a gradient at each step."""
    parameters = [p for m in modules.values() for p in m.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.5)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        found.append(moved(modules))
        optimizer.step()
    return found


def test_gradients_pass_one_zero_convolution_a_step() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.SiLU())
    control = cn.ControlBlock(block, 3, in_channels=4, out_channels=4)
    producer = nn.Conv2d(2, 3, 1)
    x, picture, target = tensors((2, 4, 8, 8), (2, 2, 8, 8), (2, 4, 8, 8))
    part = control.control
    modules = {"Z2": part.zero_out, "copy": part.copy, "Z1": part.zero_in, "producer": producer}
    found = descend(
        modules, lambda: (control(x, producer(picture)) - target).square().mean(), steps=3
    )
    assert found == [{"Z2"}, {"Z2", "copy", "Z1"}, {"Z2", "copy", "Z1", "producer"}]


def test_in_a_controlnet_too_the_hint_encoder_waits_for_two_zero_convolutions() -> None:
    torch.manual_seed(0)
    unet = small_unet()
    net = cn.ControlNet.from_unet(unet).requires_grad_(True)
    inputs, hint = call_inputs(), random_hint()
    encoder = net.input_hint_block
    modules = {
        "zero convs": nn.ModuleList([net.zero_convs, net.middle_block_out]),
        "copy": nn.ModuleList([net.input_blocks, net.middle_block, net.time_embed]),
        "encoder's zero conv": encoder[-1],
        "encoder": encoder[:-1],
    }
    with cn.patch_unet(unet, cn.ControlUnit(net, hint), rows=("cond",)):
        found = descend(modules, lambda: (unet(*inputs) - inputs[0]).square().mean(), steps=3)
    names = list(modules)
    assert found == [set(names[:1]), set(names[:3]), set(names)]


def test_a_zero_convolutions_gradients_are_those_of_the_paper() -> None:
    zero = ZeroConv(3, 5, 1)
    x, upstream = tensors((2, 3, 4, 4), (2, 5, 4, 4))
    x.requires_grad_(True)
    zero(x).backward(upstream)
    assert not x.grad.any()  # dZ/dI = W = 0
    torch.testing.assert_close(zero.bias.grad, upstream.sum((0, 2, 3)))  # dZ/dB = 1
    by_hand = torch.einsum("bohw,bihw->oi", upstream, x.detach())  # dZ/dW = I
    torch.testing.assert_close(zero.weight.grad, by_hand)


def test_two_zero_convolutions_with_nothing_between_them_never_learn() -> None:
    zeros = {"Z1": ZeroConv(3, 4, 1), "Z2": ZeroConv(4, 4, 1)}
    c, target = tensors((2, 3, 8, 8), (2, 4, 8, 8))

    def loss_of() -> Tensor:
        return (zeros["Z2"](zeros["Z1"](c)) - target).square().mean()

    parts = {name: nn.ParameterList([zero.weight]) for name, zero in zeros.items()}
    assert descend(parts, loss_of, steps=5) == [set()] * 5


def test_misuse_is_named() -> None:
    x, c = tensors((2, 4, 8, 8), (2, 3, 8, 8))
    control = cn.ControlBlock(nn.Conv2d(4, 6, 3), 3)
    with pytest.raises(ValueError, match="run the block once"):
        control.trainable_parameters()
    for wrong in (c[:, :2], c[:1], c[..., :4], c[0]):
        with pytest.raises(ValueError, match="The condition has the shape"):
            control(x, wrong)
    with pytest.raises(ValueError, match="child named `control`"):
        cn.ControlBlock(nn.ModuleDict({"control": nn.ReLU()}), 3)
