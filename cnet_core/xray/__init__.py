"""X-ray: what control added to a UNet by block, step and branch, which rows it ran on, and the effect of each block.

with cn.patch_unet(unet, unit) as control:
    ...                                  # sample
record = control.record
cn.xray.draw(record).save("xray.png")
print(cn.xray.describe(record))
"""

from .influence import Influence, influence_of, leave_one_out
from .picture import draw
from .record import Call, Record
from .suggest import Suggestion, suggest_from, suggest_scales
from .text import describe, format_scales, suggestion_text
from .watch import Recorder, Watch

__all__ = [
    "Call",
    "Influence",
    "Record",
    "Recorder",
    "Suggestion",
    "Watch",
    "describe",
    "draw",
    "format_scales",
    "influence_of",
    "leave_one_out",
    "suggest_from",
    "suggest_scales",
    "suggestion_text",
]
