"""What is measured of a family: differences from ComfyUI's own control, calls, rows and the X-ray's figures."""

from collections.abc import Callable
from typing import Any

from bench import CFG, KEY, SIDE, Bench, cnet, comfy, torch  # isort: skip
from families import FAMILIES
from memory_checks import compiled, low_vram
from torch import Tensor
from window_checks import windows

#: Two latents -> their largest difference as a share of the control's effect.
Share = Callable[[Tensor, Tensor], float]


def measure(name: str) -> dict[str, Any]:
    """Returns all measurements of a family."""
    family = FAMILIES[name]
    bench, found = Bench(family), {}
    routing = cnet.HintRouting
    plain = bench.sample(bench.model)
    shared = bench.native()
    both = bench.sample(bench.model, shared, shared)
    effect = float((both - plain).abs().max())
    found["effect"] = effect / float(plain.abs().max())

    def share(a: Tensor, b: Tensor) -> float:
        return float((a - b).abs().max()) / effect

    positive = bench.sample(bench.model, bench.native())
    found["native calls"] = bench.calls
    found["both"] = float((bench.sample(bench.ours()) - both).abs().max())
    found["both calls"], found["both rows"] = bench.calls, bench.rows
    found["cond_only"] = share(bench.sample(bench.ours(routing.cond_only())), positive)
    found["cond_only calls"], found["cond_only rows"] = bench.calls, bench.rows
    negative = bench.sample(bench.model, None, bench.native())
    found["uncond_only"] = share(bench.sample(bench.ours(routing.uncond_only())), negative)
    half = 0.25 if name == "Qwen Fun" else 0.5  # it takes the square root
    mixed = bench.sample(bench.model, bench.native(), bench.native(half))
    found["weighted"] = share(bench.sample(bench.ours(routing.weighted(1.0, 0.5))), mixed)
    found.update(blocks(bench, share))
    found.update(chains(bench, share))
    found.update(batches(bench, share))
    found.update(windows(bench, share))
    found.update(xray(bench))
    found.update(fits(bench, share) if name in ("SD3.5", "T2I SD1.5 full") else {})
    found.update(old_options(bench, both, share) if name in ("SD3.5", "T2I SDXL") else {})
    found.update(low_vram(bench, both, share) if name in ("SD3.5", "T2I SDXL") else {})
    found.update(compiled(bench, both, share) if name == "SD3.5" else {})
    found.update(lengths(bench) if name in ("Qwen InstantX", "Chroma") else {})
    found.update(reuse(bench) if name in ("SD3.5", "T2I SDXL") else {})
    return found


class OldOptions(comfy.samplers.CFGGuider):
    """A guider whose predictions use options that were copied before the sampling began."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._options = comfy.model_patcher.create_model_options_clone(model.model_options)

    def predict_noise(
        self, x: Tensor, timestep: Any, model_options: Any = None, seed: int | None = None
    ) -> Tensor:
        conds = [self.conds["positive"], self.conds["negative"]]
        batch = comfy.samplers.calc_cond_batch
        cond, uncond = batch(self.inner_model, conds, x, timestep, self._options)
        return uncond + (cond - uncond) * CFG


def old_options(bench: Bench, both: Tensor, share: Any) -> dict[str, Any]:
    """A run whose calls do not say which run they belong to, and how often it encoded the picture."""
    model, before = bench.ours(), bench.vae.encoded
    found = bench.sample(model, guider=OldOptions(model))
    return {"old options": share(found, both), "encoded": bench.vae.encoded - before}


def fits(bench: Bench, share: Any) -> dict[str, Any]:
    """Pictures of other proportions against native control with pictures that were fitted by hand."""
    square, side, found = bench.image, SIDE * 8, {}
    bands = {"stretch": torch.zeros(1, side, side, 3), "pad": torch.zeros(1, side, side, 3)}
    bands["stretch"][:, : side // 2] = 1.0  # a band of half the height stays one
    bands["pad"][:, :, side // 4 : -side // 4] = square[:, :, : side // 2]
    given = {"stretch": bands["stretch"][:, :, : side // 2], "pad": square[:, :, : side // 2]}
    for fit, picture in given.items():
        bench.fitted = bands[fit]
        control = bench.native()
        expected = bench.sample(bench.model, control, control)
        bench.image, bench.fitted = picture, None
        found[fit] = share(bench.sample(bench.ours(hint_fit=fit)), expected)
        bench.image = square
    return found


def batches(bench: Bench, share: Any) -> dict[str, Any]:
    """Two pictures with a hint each: each row is that of a run of its own."""
    pair = Bench(bench.family, batch=2, hints=2)
    control = pair.native()
    expected = pair.sample(pair.model, control)
    return {"batch": share(pair.sample(pair.ours(cnet.HintRouting.cond_only())), expected)}


def reuse(bench: Bench) -> dict[str, Any]:
    """Rows that the net computes in 20 steps when residuals are kept while the latents hardly move."""
    model = bench.ours(cnet.HintRouting.cond_only(), reuse_tolerance=0.2)
    bench.sample(model, steps=20)
    return {"reuse calls": bench.calls, "reuse rows": bench.rows}


def lengths(bench: Bench) -> dict[str, Any]:
    """Prompts of two lengths, which some models run in calls of their own."""
    bench.longer = 2
    bench.sample(bench.ours(cnet.HintRouting.cond_only()))
    bench.longer = 0
    return {"longer calls": bench.calls, "longer rows": bench.rows}


def xray(bench: Bench) -> dict[str, Any]:
    """What the X-ray says of the first call, against the norms of native control's entries."""
    seen: list[float] = []
    control = bench.native()
    compute = control.get_control

    def watched(*args: Any) -> Any:
        found = compute(*args)
        if not seen:
            entries = [e for key in found for e in found[key] if e is not None]
            seen.extend(float(entry[:1].norm()) for entry in entries)
        return found

    control.get_control = watched
    bench.sample(bench.model, control)
    model = bench.ours(cnet.HintRouting.cond_only())
    latents = bench.sample(model)
    past = model.get_attachment(KEY).history.of(latents)
    record = past.record
    added = record.calls[0].residuals.max(1)
    blocks = [block for block, norm in enumerate(added) if norm]
    apart = max(abs(a - b) / b for a, b in zip(sorted(added[blocks]), sorted(seen), strict=True))
    found = {"xray": float(apart), "names": [record.names[block] for block in blocks]}
    if len(record.names) <= 13:
        influence = past.replay.influence(record.blocks).blocks
        found["influence"] = [record.names[k] for k, share in enumerate(influence) if share]
    return found


def without(bench: Bench, block: int) -> Any:
    """Returns a native control without one of the net's blocks."""
    control = bench.native()
    compute = control.get_control
    left_out = bench.family.entries[block]

    def partial(*args: Any) -> Any:
        found = {key: list(entries) for key, entries in compute(*args).items()}
        for key, index in left_out:
            found[key][index] = torch.zeros_like(found[key][index])
        return found

    control.get_control = partial
    return control


def blocks(bench: Bench, share: Any) -> dict[str, Any]:
    """Scales of single blocks against native control without them, and points against numbers."""
    count, scales = len(bench.family.entries), cnet.BlockScales
    differences = []
    for block in {0, count - 1}:
        numbers = [0.0 if k == block else 1.0 for k in range(count)]
        control = without(bench, block)
        expected = bench.sample(bench.model, control, control)
        differences.append(share(bench.sample(bench.ours(None, scales.custom(numbers))), expected))
    return {"blocks": max(differences), "block calls": bench.calls}


def chains(bench: Bench, share: Any) -> dict[str, Any]:
    """Two controls in a row, a window and a mask."""
    first, second = bench.native(0.6), bench.native(0.3)
    second.set_previous_controlnet(first)
    expected = bench.sample(bench.model, second, second)
    chained = bench.ours(strength=0.3, model=bench.ours(strength=0.6))
    window = (0.3, 1.0)
    late = bench.native(window=window)
    expected_late = bench.sample(bench.model, late, late)
    found = bench.sample(bench.ours(start_percent=0.3))
    masked = bench.sample(bench.ours(mask=torch.full((32, 32), 0.5), strength=1.0))
    by_frame = bench.sample(bench.ours(frame_strengths=cnet.FrameStrengths.parse("0:0.5")))
    halved = bench.sample(bench.ours(scales=cnet.BlockScales.uniform().over_time([(0, 0.5)])))
    return {
        "chain": share(bench.sample(chained), expected),
        "window": share(found, expected_late),
        "half a mask": share(masked, halved),
        "frame strengths": share(by_frame, halved),
    }
