"""control_blocks: into a model by path, trained, saved, and out again without a trace."""

import pytest
import torch
from torch import Tensor, nn

import cnet_core as cn


class Model(nn.Module):
    """Two stages; the second is called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU())
        self.decoder = Scaled()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(x=self.encoder(x), scale=2.0)


class Scaled(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(4, 3, 2, stride=2)

    def forward(self, x: Tensor, scale: float) -> Tensor:  # type: ignore[override]
        return scale * super().forward(x)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    found = Model()
    found(torch.randn(4, 2, 8, 8))  # the norm's statistics
    return found


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 2, 8, 8, generator=generator), torch.randn(
        2, 5, 8, 8, generator=generator
    )


PATHS = {"encoder.0": 5, "decoder": 5}


def trained(model: Model, control: cn.BlockControl) -> Tensor:
    """A step or two that move everything; returns the output."""
    x, control.condition = inputs()
    model(x)
    optimizer = torch.optim.Adam(control.trainable_parameters(), 0.05)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model(x).detach()


def test_fresh_control_changes_nothing_and_trained_control_does(model: Model) -> None:
    x, condition = inputs()
    want = model.eval()(x)
    control = cn.control_blocks(model, PATHS)
    control.condition = condition
    assert torch.equal(model(x), want)
    found = trained(model, control)
    assert not torch.allclose(found, want)
    control.condition = dict.fromkeys(PATHS, condition + 1)
    assert not torch.allclose(model(x), found)  # it goes by the condition


def test_remove_leaves_the_model_as_it_was(model: Model) -> None:
    model.decoder.requires_grad_(False)
    x, _ = inputs()
    state, text = {k: v.clone() for k, v in model.state_dict().items()}, repr(model)
    with cn.control_blocks(model, PATHS) as control:
        trained(model, control)
        assert model.state_dict().keys() == state.keys()
        assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert repr(model) == text
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [True] * 4 + [False] * 2
    assert model.training
    assert model.encoder[1].training
    control.remove()
    cn.control_blocks(model, PATHS).remove()
    model(x)


def test_copies_are_saved_and_loaded_without_the_model(model: Model, tmp_path) -> None:
    x, condition = inputs()
    with cn.control_blocks(model, PATHS) as control:
        want = trained(model, control)
        control.save(tmp_path / "control.safetensors")
    with cn.control_blocks(model, PATHS) as again:
        again.load(tmp_path / "control.safetensors")
        again.condition = condition
        assert torch.equal(model(x), want)
    with (
        cn.control_blocks(model, {"encoder.0": 5}) as other,
        pytest.raises(ValueError, match="holds control for \\['decoder'\\]"),
    ):
        other.load(tmp_path / "control.safetensors")


def test_misuse_is_named(model: Model) -> None:
    x, condition = inputs()
    with pytest.raises(ValueError, match=r"no module 'encoder.7'; it has 'encoder', 'encoder.0'"):
        cn.control_blocks(model, {"encoder.7": 5})
    with pytest.raises(ValueError, match="is empty"):
        cn.control_blocks(model, {})
    control = cn.control_blocks(model, PATHS)
    with pytest.raises(ValueError, match="Set `condition`"):
        model(x)
    with pytest.raises(ValueError, match=r"one for each of \['decoder', 'encoder.0'\]"):
        control.condition = {"decoder": condition}
    with pytest.raises(ValueError, match="already has control"):
        cn.control_blocks(model, {"encoder.1": 5})
