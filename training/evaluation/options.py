"""The options of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from mostnet.engine import Provider
from mostnet.training.data.dataset import SPLITS

from .figures import CONVENTIONS

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """The data and the device of an evaluation.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        max_sequences: number of sequences to take from the start of the split; None for all.
        frames: number of frames to take from the start of each sequence; None for all.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA if there is a GPU.
        threads: CPU threads of the network; None for as many as cores are free.
        convention: the way to count that is shown, of ``figures.CONVENTIONS``.
        video: also write a video of each sequence, which shows every frame beside its labels and figures.

    Raises:
        ValueError: a number is below 1, or there is no such split, device or convention.
    """

    split: str = "test"
    max_sequences: int | None = None
    frames: int | None = None
    device: Provider = "auto"
    threads: int | None = None
    convention: str = "ours"
    video: bool = False

    def __post_init__(self) -> None:
        for name in ("max_sequences", "frames", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected 1 or more")
        for name, known in (("split", SPLITS), ("device", DEVICES), ("convention", CONVENTIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")


class EvalKeywords(TypedDict, total=False):
    """The fields of ``EvalOptions`` as keyword arguments of ``mostnet.training.evaluate``."""

    split: str
    max_sequences: int | None
    frames: int | None
    device: Provider
    threads: int | None
    convention: str
    video: bool
