"""Finds a model's weights: in a diffusers folder, a pipeline, a training run, Hugging Face's cache."""

import re
from pathlib import Path
from typing import Literal

from .header import UnreadableFile

#: The wanted model of a pipeline, by its folder's name.
Part = Literal["controlnet", "unet"]

#: How names of weights files start, best first: diffusers', accelerate's, transformers'.
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
SUFFIXES = (".safetensors", ".bin")
#: Variants, best first; others follow in alphabetical order.
VARIANTS = ("", "fp32", "fp16", "bf16")
_STEM, _SUFFIX = "|".join(STEMS), "|".join(map(re.escape, SUFFIXES))
_FILE = re.compile(rf"({_STEM})(?:\.([\w-]+))?({_SUFFIX})")
_INDEX = re.compile(rf"({_STEM})(?:\.([\w-]+))?({_SUFFIX})\.index(?:\.([\w-]+))?\.json")
_SHARD = re.compile(r"-\d{5}-of-(\d{5})")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def weights_path(path: Path, part: Part) -> Path:
    """Returns the file of a model's weights, or the index of its shards; a file is its own weights.

    A folder's own weights come first, unless it is a pipeline. It may also hold the `part` of a pipeline, one
    checkpoint of a training run, or be a model's folder in Hugging Face's cache.

    Raises:
        UnreadableFile: a folder without weights, or with several candidates.
    """
    if not path.is_dir():
        return path
    folder = model_folder(path)
    own = weights_in(folder)
    if own is not None and not _is_pipeline(folder):
        return own
    inner = _inner_folder(folder, part)
    found = own if inner is None else weights_in(inner) or own
    if found is None:
        raise _without_weights(folder, part)
    return found


def model_folder(path: Path) -> Path:
    """Returns the folder of a model's files; of a model in Hugging Face's cache that is a snapshot."""
    models = _folders(path, r"models--.+")
    if models:
        return model_folder(_take_only(path, models, "models"))
    snapshots = _folders(path / "snapshots", r".+")
    if not snapshots:
        return path
    main = path / "refs" / "main"
    name = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    current = [folder for folder in snapshots if folder.name == name]
    return _take_only(path, current or snapshots, "snapshots")


def weights_in(folder: Path) -> Path | None:
    """Returns the best weights in a folder: safetensors before PyTorch's, no variant before fp16 and bf16."""
    names = [(rank, file) for file in folder.iterdir() if (rank := _rank(file.name)) is not None]
    return min(names)[1] if names else None


def variant_of(file: Path) -> str | None:
    """Returns "fp16" for `model.fp16.safetensors`; None for a file of no variant."""
    rank = _rank(file.name)
    return None if rank is None else rank[3] or None


def is_standard(file: Path) -> bool:
    """Whether libraries find the weights of a folder by this file name."""
    return _rank(file.name) is not None


def is_index(file: Path) -> bool:
    """Whether a file lists the shards of a model."""
    return _INDEX.fullmatch(file.name) is not None


def is_shard(file: Path) -> bool:
    """Whether a file's name is that of one of several parts."""
    found = _SHARD.search(file.stem)
    return found is not None and int(found[1]) > 1


def _rank(name: str) -> tuple[int, int, int, str, bool] | None:
    """Returns the sort key of a weights file, which includes the variant; None for other files."""
    index = _INDEX.fullmatch(name)
    found = index or _FILE.fullmatch(name)
    if found is None or is_shard(Path(name)):
        return None
    stem, variant, suffix = found[1], found[2] or "", found[3]
    if index is not None:
        variant = variant or index[4] or ""
    known = VARIANTS.index(variant) if variant in VARIANTS else len(VARIANTS)
    return STEMS.index(stem), SUFFIXES.index(suffix), known, variant, index is not None


def _is_pipeline(folder: Path) -> bool:
    return (folder / "model_index.json").is_file()


def _inner_folder(folder: Path, part: Part) -> Path | None:
    """Returns the part's folder in a pipeline, or in the only checkpoint of a training run."""
    parts = _folders(folder, rf"{part}(_\d+)?")
    if parts:
        return _take_only(folder, parts, "models")
    if weights_in(folder) is not None:
        return None
    checkpoints = [f for f in _folders(folder, _CHECKPOINT.pattern) if _holds(f, part)]
    if not checkpoints:
        return None
    return weights_path(_take_only(folder, checkpoints, "checkpoints"), part).parent


def _holds(checkpoint: Path, part: Part) -> bool:
    return bool(_folders(checkpoint, rf"{part}(_\d+)?")) or weights_in(checkpoint) is not None


def _folders(folder: Path, pattern: str) -> list[Path]:
    """Returns the folders in a folder whose names match, checkpoints in order of their numbers."""
    if not folder.is_dir():
        return []
    found = [f for f in folder.iterdir() if re.fullmatch(pattern, f.name) and f.is_dir()]
    return sorted(found, key=lambda f: (_number(f.name), f.name))


def _number(name: str) -> int:
    found = _CHECKPOINT.fullmatch(name)
    return int(found[1]) if found else 0


def _take_only(folder: Path, found: list[Path], what: str) -> Path:
    if len(found) == 1:
        return found[0]
    names = ", ".join(f.name for f in found[-5:])
    raise UnreadableFile(
        f"a folder of several {what}",
        f"{folder} holds {len(found)} {what} ({names}); give the path of the one that you mean.",
    )


def _without_weights(folder: Path, part: Part) -> UnreadableFile:
    if _is_pipeline(folder):
        return UnreadableFile(
            f"a diffusers pipeline without a {part}",
            f"{folder} is a diffusers pipeline without weights in a folder {part}; give the path of a {part}.",
        )
    return UnreadableFile(
        "a folder without weights",
        f"{folder} is a folder without {STEMS[0]}.safetensors or a file like it; give the checkpoint file, or a "
        "diffusers folder.",
    )
