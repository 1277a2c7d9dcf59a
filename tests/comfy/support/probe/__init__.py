"""Nodes for tests alone: small random models and conds, counters of UNet calls, latents saved exactly."""

from .models import ProbeConditioning, ProbeCount, ProbeModel, ProbePicture
from .record import ProbeBreak, ProbeLatent, ProbeMemory, ProbeSave, ProbeSlow

NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        ProbeBreak,
        ProbeConditioning,
        ProbeCount,
        ProbeLatent,
        ProbeMemory,
        ProbeModel,
        ProbePicture,
        ProbeSave,
        ProbeSlow,
    )
}
