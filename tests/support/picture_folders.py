"""Folders of small pictures with hints and prompts, in both layouts."""

import json
from pathlib import Path

from PIL import Image

COLOURS = ("red", "blue")


def pictures(folder: Path, layout: str, count: int = 6, size: tuple[int, int] = (32, 32)) -> Path:
    """Writes a data folder in one of the two layouts, of plain colours and their halves."""
    for name in ("source", "target"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        Image.new("RGB", size, (40 * i, 90, 200)).save(folder / "target" / f"{i}.png")
        Image.new("L", size, 40 * i).save(folder / "source" / f"{i}.png")
        files = {"source": f"source/{i}.png", "target": f"target/{i}.png"}
        prompt = f"a {COLOURS[i % 2]} star"
        if layout == "prompt.json":
            rows.append({**files, "prompt": prompt})
        else:
            rows.append(
                {
                    "file_name": files["target"],
                    "conditioning_image": files["source"],
                    "text": prompt,
                }
            )
    (folder / layout).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
