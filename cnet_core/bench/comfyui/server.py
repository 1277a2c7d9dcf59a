"""A ComfyUI in its own process, driven over HTTP, with a temporary base folder."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 300
#: Seconds between checks whether a prompt has ended; the measured time is ComfyUI's own.
POLL_SECONDS = 0.05
#: Keeps what nodes returned from prompt to prompt, so that nothing is loaded twice.
OPTIONS = ("--disable-api-nodes", "--disable-auto-launch", "--cache-lru", "100")


@dataclass(frozen=True)
class PromptCost:
    """What a prompt cost."""

    wall: float  # seconds by ComfyUI's own clock
    cpu: float | None  # seconds of its process, on Linux: which other programs disturb less
    peak: int | None  # bytes of a GPU, without those in use since the previous prompt


class Server:
    """A running ComfyUI; `close` ends it.

    Args:
        comfyui: its folder.
        python: the Python that has its requirements.
        base: an empty folder for its models and output.
        packs: folders of nodes, by the names under which it finds them.
        device: "cpu", or ComfyUI's own choice.
        options: further ones of its command line.

    Raises:
        ValueError: it did not start.
    """

    def __init__(
        self,
        comfyui: Path,
        python: str,
        base: Path,
        packs: Mapping[str, Path],
        device: str,
        options: Sequence[str] = (),
    ) -> None:
        self._base = base
        (base / "custom_nodes").mkdir()
        for name, folder in packs.items():
            (base / "custom_nodes" / name).symlink_to(folder.resolve())
        self._url = f"http://127.0.0.1:{(port := _free_port())}"
        command = [python, "main.py", "--port", str(port), "--base-directory", str(base), *OPTIONS]
        with (base / "comfyui.log").open("w") as log:
            self._process = subprocess.Popen(
                [*command, *["--cpu"] * (device == "cpu"), *options],
                cwd=comfyui,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.close()
            raise

    def nodes(self) -> Mapping[str, Any]:
        """Returns all nodes, as ComfyUI describes them."""
        return self._get("/object_info")

    def version(self) -> str:
        """Returns ComfyUI's description of itself."""
        return self._get("/system_stats")["system"]["comfyui_version"]

    def run(self, graph: Mapping[str, Any]) -> PromptCost:
        """Runs a graph in API format and returns how long it took.

        Raises:
            ValueError: a node raised, or the graph is not valid.
        """
        before = _cpu_seconds(self._process.pid)
        key = self._post("/prompt", {"prompt": graph})["prompt_id"]
        while True:
            entry = self._get(f"/history/{key}").get(key)
            if entry is not None:
                after = _cpu_seconds(self._process.pid)
                cpu = None if before is None or after is None else after - before
                return PromptCost(
                    _seconds(entry["status"]["messages"]), cpu, _peak(entry["outputs"])
                )
            if self._process.poll() is not None:
                raise ValueError(f"ComfyUI ended in the middle of a prompt:\n{self._log()}")
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Ends the process."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_up(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            try:
                self._get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        raise ValueError(f"ComfyUI did not start; the end of its log:\n{self._log()}")

    def _log(self) -> str:
        return (self._base / "comfyui.log").read_text()[-2000:]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=60) as answer:
            return json.load(answer)

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            self._url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"ComfyUI refused a graph: {error.read().decode()}") from error


def _seconds(messages: Sequence[Any]) -> float:
    said: dict[str, Any] = dict(messages)
    if "execution_success" not in said:
        reason = said.get("execution_error", {}).get("exception_message", "it was interrupted")
        raise ValueError(f"A prompt failed in ComfyUI: {reason[:300]}")
    return (said["execution_success"]["timestamp"] - said["execution_start"]["timestamp"]) / 1000


def _peak(outputs: Mapping[str, Any]) -> int | None:
    """Returns the report of the node at the prompt's end."""
    return next((shown["peak"][0] for shown in outputs.values() if "peak" in shown), None)


def _cpu_seconds(process: int) -> float | None:
    """Returns the processor time that a process has taken so far; None if the system does not report it."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.is_file():
        return None
    fields = stat.read_text().rpartition(")")[2].split()  # after the name, which may hold anything
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment() -> dict[str, str]:
    """The environment, without variables that would put this library's folder and its `nodes` on ComfyUI's path."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
