"""What a run did, for tests to read: latents, counts of calls, what is left in memory."""

import gc
import json
from pathlib import Path

import comfy.model_base
import comfy.model_management
import torch
from comfy.patcher_extension import WrappersMP
from safetensors.torch import save_file

from .common import COUNTS, folder, node, of_library, wrapped

OPERATIONS = of_library("bench/operations.py")


@node(samples="LATENT", name="STRING")
class ProbeSave:
    """Saves latents exactly, and all counts so far."""

    def run(self, samples, name):
        metadata = {"counts": json.dumps(COUNTS)}
        tensors = {"samples": samples["samples"].float().cpu().contiguous()}
        save_file(tensors, str(folder() / f"{name}.safetensors"), metadata)
        return {"ui": {"saved": [name]}}


@node(("MODEL",), {"go_on": ("BOOLEAN", {})}, always=True, model="MODEL", name="STRING")
class ProbeCount:
    """Counts the UNet calls of a MODEL under a name, as lists of rows; `go_on` keeps those of earlier prompts."""

    def run(self, model, name, go_on=False):
        _begin(name, go_on)

        def count(executor, *args, **kwargs):
            COUNTS[name].append(args[5].get("cond_or_uncond"))
            return executor(*args, **kwargs)

        return (wrapped(model, WrappersMP.DIFFUSION_MODEL, count),)


@node(("MODEL",), model="MODEL", name="STRING")
class ProbeInputs:
    """Sums what goes into the UNet at each call of a MODEL, also in later prompts."""

    def run(self, model, name):
        _begin(name, False)

        def count(executor, x, *args, **kwargs):
            COUNTS[name].append(float(x.double().sum()))
            return executor(x, *args, **kwargs)

        return (wrapped(model, WrappersMP.DIFFUSION_MODEL, count),)


@node(("MODEL",), always=True, model="MODEL", name="STRING")
class ProbeStacks:
    """Counts, at each UNet call of a MODEL, how many stacks of ours live."""

    def run(self, model, name):
        _begin(name, False)

        def count(executor, *args, **kwargs):
            found = executor(*args, **kwargs)
            kinds = [type(o).__name__ for o in gc.get_objects()]
            COUNTS[name].append(kinds.count("UnitRun"))
            return found

        return (wrapped(model, WrappersMP.DIFFUSION_MODEL, count),)


@node(
    ("CONTROL_NET",),
    {"go_on": ("BOOLEAN", {})},
    control_net="CONTROL_NET",
    name="STRING",
)
class ProbeCountNet:
    """Counts the rows of each run of a ControlNet under a name; `go_on` as in ProbeCount."""

    def run(self, control_net, name, go_on=False):
        _begin(name, go_on)

        def hook(module, arguments, output):
            COUNTS[name].append(len(output))

        source = getattr(control_net, "net_source", None)
        net = control_net.control_model if source is None else source.net
        net.zero_convs[0].register_forward_hook(hook)
        return (control_net,)


@node(("MODEL",), always=True, model="MODEL", name="STRING")
class ProbeOperations:
    """Counts the ATen operations of each step's prediction by kind: [all, those that write memory]."""

    def run(self, model, name):
        _begin(name, False)

        def count(executor, *args, **kwargs):
            with OPERATIONS.Operations() as counted:
                found = executor(*args, **kwargs)
            kinds = {kind: [n, counted.writing[kind]] for kind, n in counted.kinds.items()}
            COUNTS[name].append(kinds)
            return found

        return (wrapped(model, WrappersMP.PREDICT_NOISE, count),)


@node(optional={"after": "LATENT"}, always=True, name="STRING")
class ProbeMemory:
    """Writes what lives: loaded models, tensors, runs of ours that should be closed; and all counts so far."""

    def run(self, name, after=None):
        gc.collect()
        objects = gc.get_objects()
        loaded = [m.model for m in comfy.model_management.current_loaded_models]
        report = {
            "tensors": sum(isinstance(o, torch.Tensor) for o in objects),
            "records": sum(type(o).__name__ == "Recorder" for o in objects),
            "stacks": sum(type(o).__name__ == "UnitRun" for o in objects),
            "models": sum(isinstance(o, comfy.model_base.BaseModel) for o in objects),
            "loaded": [type(m.model).__name__ for m in loaded if m is not None],
            "rss": Path("/proc/self/statm").read_text().split()[1],
            "counts": COUNTS,
        }
        (folder() / f"{name}.json").write_text(json.dumps(report))
        return {"ui": {"saved": [name]}}


def _begin(name, go_on):
    COUNTS[name] = COUNTS.get(name, []) if go_on else []
