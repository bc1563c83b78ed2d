"""``python -m mostnet.bench.scale.cameras --engine FILE``: measure cameras at a server here, and simulate the same.

It measures the service times of the engine, drives 1, 2, 4 and more cameras at a camera's rate, simulates the same
cameras with these service times, and prints both side by side.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from mostnet.bench.frames import synthetic_frames
from mostnet.bench.load import LoadMeter
from mostnet.bench.machine import describe_machine
from mostnet.contract import OUTPUTS, write_text
from mostnet.contract.arguments import positive_float, positive_int, size_text
from mostnet.contract.cores import usable_cores
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.contract.versions import installed_versions

from .compare import CameraReport, try_cameras
from .drive import Pace
from .servers import SERVERS, open_server, transfer_ms
from .service import service_samples_ms, session_mib, state_bytes
from .simulate import ServerModel

_FRAMES = 30
_PACKAGES = ("mostnet", "onnxruntime", "numpy", "simpy", "tritonclient")


@command("mostnet.bench.scale.cameras", extra="scale", interrupted="interrupted; nothing was written")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, simulate, print, and write the JSON."""
    argv = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(argv)
    import simpy  # noqa: F401  # missing, it shall not fail after minutes of measuring

    report = measure(options, line=shlex.join(["python", "-m", "mostnet.bench.scale.cameras", *argv]))
    console = Console(file=sys.stdout, width=150, **PLAIN)
    console.print(report.title)
    console.print(report.table())
    if options.json is not None:
        write_text(options.json, json.dumps(report.to_json(), indent=1) + "\n")
    return 0


def measure(options: argparse.Namespace, *, line: str = "") -> CameraReport:
    """The report for the options of the command.

    Raises:
        MostnetError: the engine or the server cannot be opened, or a session fails.
    """
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    pace = Pace(fps=options.fps, seconds=options.seconds)
    most = options.most or max(*options.cameras, options.places)
    with open_server(
        options.server,
        options.engine,
        places=options.places,
        threads=options.threads,
        most_cameras=most,
        outputs=options.outputs,
    ) as found:
        frames = synthetic_frames(found.size_hw, _FRAMES, seed=options.seed)
        memory_mib = session_mib(options.engine, frames, outputs=options.outputs)  # first, while memory is fresh
        meter = LoadMeter()
        samples = service_samples_ms(
            options.engine,
            frames,
            places=options.places,
            threads=options.threads,
            count=options.samples,
            fps=options.fps,
            outputs=options.outputs,
        )
        service_others = meter.lap()
        model = ServerModel(
            places=options.places,
            service_ms=samples,
            transfer_ms=transfer_ms(found.opener, frames, samples[0], count=options.samples, fps=options.fps),
            most_cameras=most,
        )
        trials = tuple(
            try_cameras(
                found.opener,
                model,
                frames,
                pace,
                cameras,
                seed=options.seed,
                processes=options.processes,
                busy_s=found.busy_s,
            )
            for cameras in options.cameras
        )
        return CameraReport(
            command=line,
            created_utc=created,
            settings=_settings(options, found.size_hw),
            machine=describe_machine(gpu=False),
            versions=installed_versions(_PACKAGES),
            server=model,
            service_other_cores=service_others,
            memory={"state_bytes": state_bytes(options.engine), "session_mib": memory_mib},
            trials=trials,
        )


def _settings(options: argparse.Namespace, size_hw: tuple[int, int]) -> dict[str, object]:
    names = ("server", "places", "threads", "most", "fps", "seconds", "samples", "processes", "seed")
    chosen = {name: getattr(options, name) for name in names}
    return {"engine": options.engine.name, "size": size_text(size_hw), "outputs": list(options.outputs), **chosen}


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.scale.cameras",
        description="Measure cameras at a server on this machine, and simulate the same cameras with the measured "
        "service times. Run it on a quiet machine; the column 'others' shows the cores that other processes used.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--engine", type=Path, required=True, help="exported model", metavar="FILE.onnx")
    add("--cameras", type=_counts, default=(1, 2, 4, 8), help="numbers of cameras to try", metavar="N,...")
    add("--fps", type=positive_float, default=25.0, help="frames per second of a camera", metavar="F")
    add("--seconds", type=positive_float, default=10.0, help="time of each trial", metavar="S")
    add("--server", choices=SERVERS, default="engine", help="threads in this process, or a Triton server here")
    add("--places", type=positive_int, default=usable_cores(), help="frames served at the same time", metavar="N")
    add("--threads", type=positive_int, default=1, help="threads of each of them", metavar="N")
    add("--most", type=positive_int, help="cameras that the server takes; more are refused (None: all)", metavar="N")
    add("--outputs", type=_outputs, default=("enhanced",), help="outputs to send back", metavar="NAME,...")
    add("--samples", type=positive_int, default=100, help="service times of each round", metavar="N")
    add("--processes", type=positive_int, default=1, help="processes that drive the cameras of triton", metavar="N")
    add("--seed", type=int, default=0, help="seed of frames, phases and simulation", metavar="N")
    add("--json", type=Path, help="write all figures", metavar="FILE")
    return parser


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(positive_int(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers above 0, such as 1,2,4,8") from None


def _outputs(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(OUTPUTS):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of outputs; expected some of {','.join(OUTPUTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
