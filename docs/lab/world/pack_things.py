"""Packs the chosen pictures into `cnet_core/tiny/things.webp`: `python docs/lab/world/pack_things.py PACKAGE.tgz`.

PACKAGE.tgz is what `npm pack @lobehub/fluent-emoji-3d@1.1.0` writes. Only this script knows that package.
"""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

from PIL import Image

from cnet_core.tiny.things import CELL, COLUMNS, SHEET, THINGS

SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
MAX_BYTES = 700_000
MARGIN = 2  # pixels left free around each thing


def main() -> None:
    """Writes the sheet and prints its size."""
    package = Path(sys.argv[1])
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{package} has the SHA-256 {digest}; version 1.1.0 has {SHA256}.")
    with tarfile.open(package) as files:
        pictures = [_picture(files, point) for point in THINGS.values()]
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % COLUMNS * CELL, index // COLUMNS * CELL))
    sheet.save(SHEET, quality=92, alpha_quality=100, method=6)
    size = SHEET.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{SHEET} has {size} bytes; at most {MAX_BYTES} are allowed.")
    print(f"{SHEET}: {len(pictures)} things, {size} bytes")


def _picture(files: tarfile.TarFile, point: int) -> Image.Image:
    """Returns one thing, cropped to what is visible, as large as its cell allows and centred."""
    names = (f"package/assets/{point:x}{suffix}.webp" for suffix in ("", "-fe0f"))
    member = next(n for n in names if n in files.getnames())
    data = files.extractfile(member)
    assert data is not None
    image = Image.open(io.BytesIO(data.read())).convert("RGBA")
    image = image.crop(image.getchannel("A").point([255 * (a > 8) for a in range(256)]).getbbox())
    room = CELL - 2 * MARGIN
    share = room / max(image.size)
    image = image.resize(
        (round(image.width * share), round(image.height * share)), Image.Resampling.LANCZOS
    )
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(image, ((CELL - image.width) // 2, (CELL - image.height) // 2))
    return cell


if __name__ == "__main__":
    main()
