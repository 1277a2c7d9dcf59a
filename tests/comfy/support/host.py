"""A real ComfyUI in a process of its own, driven over HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

REPOSITORY = Path(__file__).parents[3]
PROBE = Path(__file__).parent / "probe"
#: A pack that makes ComfyUI take the CPU for two devices.
TWO_DEVICES = Path(__file__).parent / "two_devices"
#: A pack that makes ComfyUI take the CPU for a device that computes in half precision.
HALF_DEVICE = Path(__file__).parent / "half_device"
START_SECONDS = 300
RUN_SECONDS = 600
#: A busy machine may keep a single answer waiting.
REPLY_SECONDS = 120


@dataclass(frozen=True)
class Place:
    """A ComfyUI: its folder and the Python that has its requirements."""

    comfyui: Path
    python: str


def knows(place: Place, options: Sequence[str]) -> bool:
    """Whether a ComfyUI has these options on its command line."""
    listed = (place.comfyui / "comfy" / "cli_args.py").read_text()
    return all(f'"{option}"' in listed for option in options)


def version_of(comfyui: Path) -> str:
    """Returns what a ComfyUI says of itself, the folder's name if nothing."""
    file = comfyui / "comfyui_version.py"
    found = re.search(r'__version__ = "(.+)"', file.read_text()) if file.is_file() else None
    return found[1] if found else comfyui.name


class Failed(Exception):
    """A queued graph that ended with an error; the text is the node's message, `node` the node's id in /object_info."""

    def __init__(self, message: str, node: str = "") -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True)
class Result:
    """What one run saved."""

    samples: Tensor  # the latents, as they came out of the sampler
    calls: list[list[int]]  # per UNet call, which cond each chunk was
    counts: dict[str, list[Any]]  # all that was counted so far, by name


class Host:
    """ComfyUI on a free port, with a base folder of its own and our pack linked into it.

    `options` go to its command line; `packs` are further folders that are linked into custom_nodes. It computes on the
    CPU unless `device` is another choice of its command line.
    """

    def __init__(
        self,
        place: Place,
        base: Path,
        options: Sequence[str] = (),
        packs: Sequence[Path] = (),
        device: Sequence[str] = ("--cpu",),
    ) -> None:
        self.place = place
        self.base = base
        self._port = _free_port()
        for folder in ("custom_nodes", "models/controlnet", "models/diffusion_models", "input"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        (base / "custom_nodes" / "cnet").symlink_to(REPOSITORY)
        for pack in (PROBE, *packs):
            (base / "custom_nodes" / pack.name).symlink_to(pack)
        self._log = (base / "comfyui.log").open("w")
        command = [place.python, "main.py", "--disable-api-nodes", "--disable-auto-launch"]
        command += ["--port", str(self._port), "--base-directory", str(base), *device, *options]
        self._process = subprocess.Popen(
            command,
            cwd=place.comfyui,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
        self._wait_until_up()

    @cached_property
    def info(self) -> dict[str, Any]:
        """All nodes, as ComfyUI describes them."""
        return self.get("/object_info")

    @property
    def url(self) -> str:
        """Where its front end is."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> str:
        """ComfyUI's output so far."""
        return (self.base / "comfyui.log").read_text()

    def get(self, path: str) -> Any:
        """Returns the JSON of a GET."""
        with urllib.request.urlopen(self.url + path, timeout=REPLY_SECONDS) as answer:
            return json.load(answer)

    def post(self, path: str, body: object) -> Any:
        """Returns the JSON of a POST, None if it is empty."""
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=REPLY_SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Failed(error.read().decode()) from error
        return json.loads(text) if text else None

    def queue(self, graph: dict[str, Any]) -> str:
        """Queues a graph in API format and returns its id."""
        return self.post("/prompt", {"prompt": graph})["prompt_id"]

    def run(self, graph: dict[str, Any]) -> dict[str, Any]:
        """Queues a graph, waits for its end and returns its outputs by node.

        Raises:
            Failed: a node raised, or the graph is not valid.
        """
        return self.wait(self.queue(graph))

    def wait(self, prompt_id: str) -> dict[str, Any]:
        """As `run`, for what is queued."""
        end = time.monotonic() + RUN_SECONDS
        while time.monotonic() < end:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None:
                _raise_error(entry["status"])
                return entry["outputs"]
            time.sleep(0.05)
        raise TimeoutError(f"no result within {RUN_SECONDS} s:\n{self.log[-2000:]}")

    def saved(self, name: str) -> Result:
        """Returns what ProbeSave wrote under a name."""
        path = self.base / "output" / "probe" / f"{name}.safetensors"
        with safe_open(path, framework="pt") as file:
            counts = json.loads(file.metadata()["counts"])
            return Result(file.get_tensor("samples"), counts.get(name, []), counts)

    def memory(self, name: str) -> dict[str, Any]:
        """Returns what ProbeMemory wrote under a name."""
        return json.loads((self.base / "output" / "probe" / f"{name}.json").read_text())

    def stop(self) -> None:
        """Ends the process."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _wait_until_up(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start:\n{self.log[-4000:]}")


def _raise_error(status: dict[str, Any]) -> None:
    for kind, message in status.get("messages", []):
        if kind == "execution_error":
            raise Failed(message["exception_message"], message["node_type"])
        if kind == "execution_interrupted":
            raise Failed("interrupted")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment() -> dict[str, str]:
    """Without what would put the repository's top folder on ComfyUI's path."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}
