"""What Apply ControlNet does with control nets that are not ours, measured in a process of its own.

script.py COMFYUI CASE ...: prints one JSON object, case -> measurement -> number, or the error that was raised. A case
is a family, or a pair that does not fit. Differences are shares of the control's own effect.
"""

import json
import sys

from bench import NAMES  # isort: skip
from checks import measure
from families import FAMILIES, MISMATCHES
from refusals import REFUSALS, mismatch, refusal

if __name__ == "__main__":
    cases = {
        **dict.fromkeys(FAMILIES, measure),
        **dict.fromkeys(MISMATCHES, mismatch),
        **dict.fromkeys(REFUSALS, refusal),
    }
    sys.stdout.write(json.dumps({name: cases[name](name) for name in NAMES or cases}) + "\n")
