"""Nodes for tests alone: small random models and conds, counters of UNet calls, latents saved exactly."""

from .low import ProbeLowMemory
from .models import ProbeConditioning, ProbeCount, ProbeCountNet, ProbeModel, ProbePicture
from .odd import ProbeAdapter, ProbeNoUNet, ProbeNoWrappers, ProbeOddRows, ProbeShrink
from .record import ProbeBreak, ProbeLatent, ProbeMemory, ProbeSave, ProbeSlow

NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        ProbeAdapter,
        ProbeBreak,
        ProbeConditioning,
        ProbeCount,
        ProbeCountNet,
        ProbeLatent,
        ProbeLowMemory,
        ProbeMemory,
        ProbeModel,
        ProbeNoUNet,
        ProbeNoWrappers,
        ProbeOddRows,
        ProbePicture,
        ProbeSave,
        ProbeShrink,
        ProbeSlow,
    )
}
