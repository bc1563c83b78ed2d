"""The same cameras at a real server and at the simulated one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from mostnet.bench.load import LoadMeter
from mostnet.bench.machine import Machine
from mostnet.contract import Frame
from mostnet.contract.terminal import counted

from .drive import Opener, Pace, drive
from .figures import ServerFigures, difference, phases_ms
from .simulate import CameraModel, ServerModel, simulate

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ServerTrial:
    """One number of cameras.

    Attributes:
        cameras: how many asked for a place.
        other_cores: load by processes other than this one, in cores, while it was measured; with a server in a
            process of its own, that server is part of it. None if the system does not report it.
    """

    cameras: int
    measured: ServerFigures
    simulated: ServerFigures
    other_cores: float | None

    @property
    def differences(self) -> dict[str, float | None]:
        """Simulated against measured: relative, and for the dropped share as a plain difference."""
        measured, simulated = self.measured, self.simulated
        return {
            "served_fps": difference(simulated.served_fps, measured.served_fps),
            "p50_ms": difference(simulated.percentile_ms(50), measured.percentile_ms(50)),
            "p95_ms": difference(simulated.percentile_ms(95), measured.percentile_ms(95)),
            "dropped_share": simulated.dropped_share - measured.dropped_share,
        }

    def to_json(self) -> dict[str, Any]:
        """Both, and how they differ."""
        return {
            "cameras": self.cameras,
            "measured": self.measured.to_json(),
            "simulated": self.simulated.to_json(),
            "differences": self.differences,
            "other_cores": self.other_cores,
        }


@dataclass(frozen=True, kw_only=True)
class CameraReport:
    """Everything that one command measured and simulated.

    Attributes:
        command: the command line.
        created_utc: when it began, in ISO 8601.
        settings: size, rate, places and so on.
        machine, versions: where it ran.
        server: the simulated server, with the measured service times.
        service_other_cores: load by other processes, in cores, while the service times were measured.
        memory: ``state_bytes`` of a camera, and ``session_mib``, the resident memory of a session of the engine.
        trials: one for each number of cameras.
    """

    command: str
    created_utc: str
    settings: dict[str, Any]
    machine: Machine
    versions: dict[str, str]
    server: ServerModel
    service_other_cores: float | None
    memory: dict[str, float | None]
    trials: tuple[ServerTrial, ...]

    def to_json(self) -> dict[str, Any]:
        """All figures; of the service times also the samples."""
        return {
            "format_version": FORMAT_VERSION,
            "command": self.command,
            "created_utc": self.created_utc,
            "settings": self.settings,
            "machine": vars(self.machine),
            "versions": self.versions,
            "service": {
                "p50_ms": [float(np.median(samples)) for samples in self.server.service_ms],
                "samples_ms": [list(samples) for samples in self.server.service_ms],
                "transfer_ms": self.server.transfer_ms,
                "other_cores": self.service_other_cores,
            },
            "memory": self.memory,
            "trials": [trial.to_json() for trial in self.trials],
        }

    @property
    def title(self) -> str:
        """What was tried, and the median service times."""
        times = ", ".join(
            f"{np.median(samples):.1f} ms with {k} busy" for k, samples in enumerate(self.server.service_ms, 1)
        )
        size, fps = self.settings["size"], self.settings["fps"]
        places = f"{counted(self.server.places, 'place')} of {counted(self.settings['threads'], 'thread')}"
        transfer = f"transfer {self.server.transfer_ms:.1f} ms; others {_number(self.service_other_cores)}"
        return f"{size} at {fps:g} FPS, {places}: service {times}; {transfer}"

    def table(self) -> Table:
        """Measured and simulated side by side, and how far the simulation is off."""
        table = Table(title="measured | simulated", title_justify="left")
        for column in ("cameras", "FPS served", "off", "p50 ms", "off", "p95 ms", "off", "dropped %", "off", "others"):
            table.add_column(column, justify="right")
        for trial in self.trials:
            table.add_row(*_cells(trial))
        return table


def try_cameras(
    opener: Opener,
    server: ServerModel,
    frames: Sequence[Frame],
    pace: Pace,
    cameras: int,
    *,
    seed: int = 0,
    processes: int = 1,
    busy_s: Callable[[], float] | None = None,
) -> ServerTrial:
    """Measure and simulate ``cameras`` cameras with the same random phases.

    Args:
        opener, frames, processes: as ``drive``.
        busy_s: reads the time that the places have worked, if the server counts it.

    Raises:
        MostnetError: a session fails.
    """
    phases = phases_ms(cameras, fps=pace.fps, seed=seed)
    meter, before_s = LoadMeter(), busy_s() if busy_s else 0.0
    driven = drive(opener, frames, pace, phases, processes=processes)
    other_cores = meter.lap()
    used = None if busy_s is None else (busy_s() - before_s) / (server.places * pace.seconds)
    models = [CameraModel(fps=pace.fps, phase_ms=phase) for phase in phases]
    return ServerTrial(
        cameras=cameras,
        measured=ServerFigures(cameras=driven, seconds=pace.seconds, utilisation=used),
        simulated=simulate(server, models, seconds=pace.seconds, seed=seed),
        other_cores=other_cores,
    )


def _cells(trial: ServerTrial) -> list[str]:
    measured, simulated, off = trial.measured, trial.simulated, trial.differences
    return [
        str(trial.cameras),
        f"{measured.served_fps:.1f} | {simulated.served_fps:.1f}",
        _percent(off["served_fps"]),
        f"{_number(measured.percentile_ms(50))} | {_number(simulated.percentile_ms(50))}",
        _percent(off["p50_ms"]),
        f"{_number(measured.percentile_ms(95))} | {_number(simulated.percentile_ms(95))}",
        _percent(off["p95_ms"]),
        f"{100 * measured.dropped_share:.0f} | {100 * simulated.dropped_share:.0f}",
        _percent(off["dropped_share"]),
        _number(trial.other_cores),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.0f} %"
