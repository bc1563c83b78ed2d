"""The options of an engine, and their checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal, TypeAlias, get_args

from mostnet.contract import OUTPUTS, OutputName

Provider: TypeAlias = Literal["auto", "cpu", "cuda", "gpu"]
ResultKind: TypeAlias = Literal["owned", "borrowed", "device"]

PROVIDERS = ("auto", "cpu", "cuda")
RESULTS: tuple[ResultKind, ...] = get_args(ResultKind)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of an engine, the same for all its sessions; ``Engine`` describes each.

    Raises:
        ValueError: an unknown name or a number out of range.
    """

    outputs: Sequence[OutputName] = OUTPUTS
    slots: int = 3
    threads: int | None = None
    provider: Provider = "auto"
    device: int | None = None
    timeout_ms: float | None = None
    graphs: bool = True
    results: ResultKind = "owned"

    @property
    def gpu_number(self) -> int:
        """CUDA's number of the GPU, if the engine runs on one."""
        return self.device or 0

    def __post_init__(self) -> None:
        if isinstance(self.outputs, str):
            raise ValueError(f"outputs is the text {self.outputs!r}; expected a sequence of names: ({self.outputs!r},)")
        object.__setattr__(self, "outputs", tuple(self.outputs))  # frozen, and the caller keeps its list
        unknown = [name for name in self.outputs if name not in OUTPUTS]
        if unknown:
            raise ValueError(f"unknown outputs {unknown}; expected some of {list(OUTPUTS)}")
        if not self.outputs:
            raise ValueError(f"no outputs asked for; expected some of {list(OUTPUTS)}")
        if isinstance(self.provider, str):
            provider = self.provider.lower()
            object.__setattr__(self, "provider", "cuda" if provider == "gpu" else provider)  # many people's name for it
        for name in ("slots", "threads", "device"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                example = " (0 for cuda:0)" if name == "device" else ""
                raise ValueError(f"{name} is {value!r}; expected a whole number{example}")
        if self.slots < 2:
            raise ValueError(f"slots is {self.slots}; expected at least 2: a slot reads the state of the one before")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}; expected at least 1, or None for all cores")
        for name, known, more in (("provider", PROVIDERS, ", or 'gpu' for 'cuda'"), ("results", RESULTS, "")):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; expected one of {list(known)}{more}")
        self._check_device()
        object.__setattr__(self, "timeout_ms", check_timeout(self.timeout_ms))

    def _check_device(self) -> None:
        if self.device is None:
            return
        if self.device < 0:
            raise ValueError(f"device is {self.device}; expected the number of a GPU, from 0, or None for the first")
        if self.provider == "cpu":
            raise ValueError(f"device is {self.device}, which is a GPU, and provider is 'cpu'; leave one of them out")
        object.__setattr__(self, "provider", "cuda")  # a GPU that was named is not replaced by the CPU


def check_timeout(timeout_ms: float | None) -> float | None:
    """Return ``timeout_ms`` if it is positive; infinity becomes None, no limit.

    Raises:
        ValueError: zero, negative, NaN or no number.
    """
    if timeout_ms is not None and (isinstance(timeout_ms, bool) or not isinstance(timeout_ms, Real)):
        raise ValueError(f"timeout_ms is {timeout_ms!r}; expected a number of milliseconds, or None")
    if timeout_ms == math.inf:
        return None
    if timeout_ms is not None and not timeout_ms > 0:
        raise ValueError(f"timeout_ms is {timeout_ms}; expected milliseconds above 0, or None to wait without limit")
    return timeout_ms
