"""Runs the parts of tests/cuda/parts.py and writes each one's results as it ends; started by tests/cuda/run.sh."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from parts import GPU, REHEARSAL, Part, stages

#: A stage is not started with less time left.
LEAST_SECONDS = 15
#: Of a failed part's output.
END = 2000


def main() -> int:
    """Returns 1 where a part failed, 0 where every part that was started succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with narrow nets")
    parser.add_argument("--seconds", type=float, default=240, help="for all parts (default: 240)")
    args = parser.parse_args()
    out = Path(os.environ.get("OUT", "cuda_results"))
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + args.seconds
    chosen = [
        [part for part in stage if not args.parts or part.name in args.parts]
        for stage in stages(REHEARSAL if args.rehearse else GPU)
    ]
    with (out / "results.jsonl").open("w") as results, (out / "log.txt").open("w") as log:
        _write(results, _machine())
        codes = [code for stage in chosen for code in run_stage(stage, end, results, log)]
    return int(any(codes))


def run_stage(stage: list[Part], end: float, results: TextIO, log: TextIO) -> list[int | None]:
    """Runs parts at the same time, writes each one's results as it ends and returns the exit codes.

    A part that outlasts its time, or the end of all, is ended with everything it started. A stage for which too little
    time is left is written down as not run.
    """
    if end - time.monotonic() < LEAST_SECONDS:
        for part in stage:
            _write(results, {"part": part.name, "exit": None, "why": "no time was left"})
        return [None] * len(stage)
    with tempfile.TemporaryDirectory() as folder:
        running = [_Running.start(part, Path(folder) / part.name, end) for part in stage]
        codes: list[int | None] = []
        while running:
            for one in [one for one in running if one.ended()]:
                found = one.result()
                _write(results, found)
                log.write(f"== {one.part.name}, {found['seconds']} s\n{one.output}\n")
                log.flush()
                codes.append(found["exit"])
                running.remove(one)
            time.sleep(0.1)
        return codes


@dataclass
class _Running:
    part: Part
    folder: Path
    process: subprocess.Popen[bytes]
    begin: float
    end: float

    @classmethod
    def start(cls, part: Part, folder: Path, end: float) -> "_Running":
        folder.mkdir()
        command = [word.replace("{out}", str(folder)) for word in part.command]
        with (folder / "output.txt").open("w") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        now = time.monotonic()
        return cls(part, folder, process, now, min(end, now + part.seconds))

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def ended(self) -> bool:
        if self.process.poll() is None and time.monotonic() > self.end:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return self.process.poll() is not None

    def result(self) -> dict[str, Any]:
        seconds = round(time.monotonic() - self.begin, 1)
        found = {"part": self.part.name, "seconds": seconds, "exit": self.process.returncode}
        found["report"] = _or_none(lambda: self.part.read(self.folder))
        if self.process.returncode:
            late = "\nit took longer than it may" * (self.process.returncode == -signal.SIGKILL)
            found["why"] = self.output[-END:] + late
        return found


def _or_none(read: Callable[[], Any]) -> Any:
    """A part that failed may have written nothing, or half a file."""
    try:
        return read()
    except (OSError, ValueError, SyntaxError):  # ElementTree's error is a SyntaxError
        return None


def _write(results: TextIO, found: dict[str, Any]) -> None:
    results.write(json.dumps(found) + "\n")
    results.flush()
    shown = {key: value for key, value in found.items() if key != "report"}
    sys.stdout.write(json.dumps(shown) + "\n")


def _machine() -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    return {
        "machine": torch.cuda.get_device_name() if cuda else platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    sys.exit(main())
