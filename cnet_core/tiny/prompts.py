"""Prompts of the embedded world as token numbers, computed on the scene's device without waiting for it."""

import functools
from typing import cast

import torch
from torch import Tensor

from .colours import NAMES
from .scenes import NATURAL, ThingScene
from .text import MAX_TOKENS, VOCABULARY
from .things import KINDS, article

#: How often a training prompt names no thing (`shape`), only the thing, or only the ground.
VAGUE, THING_ONLY, GROUND_ONLY = 0.15, 0.1, 0.1


def training_tokens(
    scene: ThingScene, empty: float, generator: torch.Generator, *, other_kinds: float = 0.0
) -> Tensor:
    """Returns the tokens of training prompts, whole or partial: (B, MAX_TOKENS).

    Args:
        scene: the pictures' scenes.
        empty: the fraction of empty prompts.
        generator: on the scene's device.
        other_kinds: of the prompts that name a thing, the fraction that names another picture's.
    """
    count, device = len(scene.kind), scene.kind.device
    drop, part, vague, swap = torch.rand(4, count, generator=generator, device=device)
    words = _kind_words(scene)
    words = torch.where(swap < other_kinds, words.roll(1), words)
    words = torch.where(vague < VAGUE, _number("shape"), words)
    with_ground = part >= THING_ONLY
    with_thing = (part < THING_ONLY) | (part >= THING_ONLY + GROUND_ONLY)
    tokens = _tokens(scene.colour, words, scene.ground, with_thing, with_ground)
    return torch.where(drop[:, None] < empty, 0, tokens)


def read_tokens(tokens: Tensor) -> list[str]:
    """Returns the prompts that these tokens (B, MAX_TOKENS) stand for."""
    words = ("", *VOCABULARY)
    rows = cast(list[list[int]], tokens.tolist())
    return [" ".join(words[t] for t in row if t) for row in rows]


def _tokens(
    colour: Tensor, words: Tensor, ground: Tensor, thing: Tensor, on_ground: Tensor
) -> Tensor:
    """Returns one prompt per row, without omitted words, padded with 0."""
    articles, colours = _articles_on(words.device), _colours_on(words.device)
    painted = colour != NATURAL
    first = torch.where(painted, colours[colour], words)
    rows = [
        (articles[first], thing),
        (colours[colour], thing & painted),
        (words, thing),
        (torch.full_like(words, _number("on")), thing & on_ground),
        (articles[colours[ground]], on_ground),
        (colours[ground], on_ground),
        (torch.full_like(words, _number("background")), on_ground),
    ]
    values = torch.stack([value for value, _ in rows], 1)
    said = torch.stack([is_said for _, is_said in rows], 1)
    order = (~said).int().argsort(dim=1, stable=True)
    packed = torch.where(said, values, 0).gather(1, order)
    return torch.nn.functional.pad(packed, (0, MAX_TOKENS - packed.shape[1]))


def _kind_words(scene: ThingScene) -> Tensor:
    return scene.kind + _number(KINDS[0])


@functools.cache
def _number(word: str) -> int:
    return VOCABULARY.index(word) + 1


@functools.cache
def _articles_on(device: torch.device) -> Tensor:
    """Returns the token of the article before each token."""
    return torch.tensor([0, *(_number(article(w)) for w in VOCABULARY)], device=device)


@functools.cache
def _colours_on(device: torch.device) -> Tensor:
    """Returns the token of each colour, 0 for NATURAL."""
    return torch.tensor([*(_number(n) for n in NAMES), 0], device=device)
