"""On a GPU: the numbers of the CPU, and what only a GPU has: its own memory, and a host that runs ahead of it."""

from collections.abc import Iterator

import pytest
import torch
from fakes import call_inputs, random_hint, randomise_, small_net, small_unet
from torch import Tensor

import cnet_core as cn
from cnet_core.control.rows import rows_of

pytestmark = pytest.mark.cuda

ROUTINGS = {
    "both": cn.HintRouting.both(),
    "cond only": cn.HintRouting.cond_only(),
    "weighted": cn.HintRouting.weighted(1.0, 0.5),
}
#: Relative errors of rounding, with room for some layers on top of each other.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@pytest.fixture(autouse=True)
def _exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it convolutions of float32 round to 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def limited() -> Iterator[None]:
    """Gives all of the memory back to the process at the end."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_controlled_predictions_are_the_cpus(routing: str, dtype: torch.dtype) -> None:
    expected, plain = (_prediction("cpu", torch.float32, r) for r in (routing, None))
    found = _prediction("cuda", dtype, routing).float().cpu()
    assert _error(found, expected) <= TOLERANCE[dtype]
    assert _error(plain, expected) > 10 * TOLERANCE[torch.float16]  # control is no rounding error


def _prediction(device: str, dtype: torch.dtype, routing: str | None) -> Tensor:
    unet = randomise_(small_unet(), 0, std=0.1).to(device, dtype)
    net = randomise_(small_net(), 1, std=0.1).to(dtype=dtype)  # patch_unet brings it to the device
    units = (
        [] if routing is None else [cn.ControlUnit(net, random_hint(), routing=ROUTINGS[routing])]
    )
    x, timesteps, context = (t.to(device) for t in call_inputs())
    with cn.patch_unet(unet, units, rows=("uncond", "cond")), torch.no_grad():
        return unet(x.to(dtype), timesteps, context.to(dtype))


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_a_batch_that_does_not_fit_into_the_gpu_is_cut(limited: None) -> None:
    net = small_net().cuda()
    x, timesteps, context = (t.cuda() for t in call_inputs(rows=16, height=128, width=128))
    call = cn.UNetCall(x, timesteps, context, None, rows_of(("uncond", "cond"), 16))
    hint = random_hint(1024, 1024).cuda()

    def run() -> list[Tensor]:
        with torch.no_grad():
            found = cn.ControlStack([cn.ControlUnit(net, hint)]).residuals(call)
        return [block.cpu() for block in found.blocks]

    run()  # brings the libraries' own memory there
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    taken = torch.cuda.memory_allocated()
    expected = run()
    needs = torch.cuda.max_memory_allocated() - taken
    torch.cuda.empty_cache()
    device = torch.cuda.current_device()
    room = torch.cuda.memory_reserved() + 0.75 * needs
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(room / whole, device)
    with pytest.raises(torch.OutOfMemoryError), torch.no_grad():
        net.residuals(x, net.hint_features(hint), timesteps, context)
    found = run()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_file_is_loaded_onto_a_gpu_in_half_precision(tmp_path) -> None:
    net = small_net()
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    loaded = cn.load_controlnet(tmp_path / "net.safetensors", dtype=torch.float16, device="cuda")
    x, timesteps, context = call_inputs()
    expected = net(x, random_hint(), timesteps, context)
    x, hint, context = (t.cuda().half() for t in (x, random_hint(), context))
    found = loaded(x, hint, timesteps.cuda(), context)
    for a, b in zip(found.blocks, expected.blocks, strict=True):
        assert _error(a.float().cpu(), b) <= TOLERANCE[torch.float16]
