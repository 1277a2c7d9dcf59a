"""The pack's route of ComfyUI's web server: which files fit, for the front end. Nothing else needs it.

    GET /cnet/control_nets?model=NAME&chosen=NAME

`model` is a base model, `chosen` a file that may have a long header; both are names of ComfyUI's lists, and the answer
holds no paths. Headers are read in a thread: an answer lists what is known so far and says whether that is all.
"""

import asyncio
from typing import Any

from .file_kinds import FileKinds


def add_routes() -> None:
    """Adds the route; without a server, as in scripts that import ComfyUI, it adds none."""
    try:
        from aiohttp import web
        from server import PromptServer
    except ImportError:
        return
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    kinds = FileKinds()
    reading: list[asyncio.Future[None]] = []

    @server.routes.get("/cnet/control_nets")
    async def list_control_nets(request: Any) -> Any:
        query = request.query
        names = (query.get("model", ""), query.get("chosen"))
        answer, missing = await asyncio.to_thread(_answer, kinds, *names)
        if missing and all(task.done() for task in reading):
            reading[:] = [asyncio.ensure_future(asyncio.to_thread(kinds.read, missing))]
        return web.json_response(answer)


def _answer(
    kinds: FileKinds, model_name: str, chosen: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Returns the answer, and the names of the files that are still to be read."""
    model = kinds.find_model(model_name) if model_name else None
    files, missing = kinds.list_known(chosen)
    return {
        "model": None if model is None else model.to_dict(),
        "files": {
            name: {**one.to_dict(), "fits": None if model is None else one.fits(model)}
            for name, one in files.items()
        },
        "complete": not missing,
    }, missing
