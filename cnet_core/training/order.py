"""The order of samples: a pure function of seed and step, so that any machine can continue from any step."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch


@dataclass(frozen=True)
class Visit:
    """One sample at one time of the run."""

    index: int  # which sample
    name: str  # unique in the run
    seed: int  # the run's

    def generator(self, purpose: str) -> torch.Generator:
        """Returns a generator for this visit and purpose (noise, flip …) alone."""
        return generator_of(self.seed, purpose, self.name)


def generator_of(*parts: object) -> torch.Generator:
    """Returns a generator whose seed is a hash of `parts`, so that streams are independent."""
    text = " ".join(map(str, parts)).encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@dataclass(frozen=True)
class _Epoch:
    number: int
    begin: int  # its first step
    batches: list[tuple[int, int]]  # (bucket, number of its batch)

    @property
    def end(self) -> int:
        return self.begin + len(self.batches)


class SampleOrder:
    """The batches of a run. Samples of one size share a bucket, and a batch comes from one bucket.

    A bucket is an endless stream of shuffled passes over its samples, divided into batches. So every sample comes once
    before any comes again, whatever the batch size. An epoch holds the batches that fill up during one pass over all
    samples, with the buckets in random order.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], batch_size: int, seed: int) -> None:
        if not sizes:
            raise ValueError("There are no samples to train on.")
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, size in enumerate(sizes):
            buckets.setdefault(size, []).append(index)
        self._buckets = [buckets[size] for size in sorted(buckets)]
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = _Epoch(-1, 0, [])
        self._passes: dict[tuple[int, int], list[int]] = {}

    def batch(self, step: int) -> tuple[Visit, ...]:
        """Returns the visits of a step, counted from 0."""
        bucket, number = self._place(step)
        first = number * self._batch_size
        return tuple(self._visit(bucket, first + i) for i in range(self._batch_size))

    def _place(self, step: int) -> tuple[int, int]:
        """Returns (bucket, number of its batch) for a step."""
        epoch = self._epoch if step >= self._epoch.begin else _Epoch(-1, 0, [])
        while step >= epoch.end:
            epoch = _Epoch(epoch.number + 1, epoch.end, self._batches_of(epoch.number + 1))
        self._epoch = epoch
        return epoch.batches[step - epoch.begin]

    def _batches_of(self, epoch: int) -> list[tuple[int, int]]:
        """Returns an epoch's batches: the buckets in random order, each one's batches in theirs."""
        size = self._batch_size
        due = [range(epoch * len(b) // size, (epoch + 1) * len(b) // size) for b in self._buckets]
        turns = [bucket for bucket, numbers in enumerate(due) for _ in numbers]
        rest = [iter(numbers) for numbers in due]
        order = _shuffle(len(turns), self._seed, "epoch", epoch)
        return [(turns[i], next(rest[turns[i]])) for i in order]

    def _visit(self, bucket: int, position: int) -> Visit:
        samples = self._buckets[bucket]
        turn, place = divmod(position, len(samples))
        order = self._pass(bucket, turn)
        return Visit(samples[order[place]], f"{bucket} {position}", self._seed)

    def _pass(self, bucket: int, turn: int) -> list[int]:
        key = (bucket, turn)
        if key not in self._passes:
            if len(self._passes) > 2 * len(self._buckets):
                self._passes.clear()
            self._passes[key] = _shuffle(len(self._buckets[bucket]), self._seed, "pass", *key)
        return self._passes[key]


def _shuffle(count: int, *parts: object) -> list[int]:
    return cast(list[int], torch.randperm(count, generator=generator_of(*parts)).tolist())
