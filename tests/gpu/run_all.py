"""All proof that needs a GPU, on a machine that has one and nothing else: see ``tests/gpu/__init__.py``.

Run by that machine's own Python, the one with PyTorch. Everything is written under OUT as it goes, so that a run which
is cut short leaves what it has.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("parts", "background", "prepare", "build", "tests", "sanitizer", "report")

#: Where kits, cases and the report live between calls, for as long as the machine is held.
KITS = Path("/tmp/gpukit")
WORK = Path("/tmp/mostnet-gpu")

#: Cases made ahead of the report, in this order; the tests run on the first of each list.
TESTED = ("nano-480x640-fp16", "dw-480x640-fp16")
WARPS = ("warp-fp32", "warp-fp16")

#: A larger file would not come back.
_LARGEST_BYTES = 12 << 20

#: What runs under compute-sanitizer: every kernel of both ways of running, on few frames.
SANITISED = """
import sys
import numpy as np
from mostnet.engine import Engine
frames = np.load(sys.argv[2])[:6]
for graphs in (True, False):
    with Engine(sys.argv[1], graphs=graphs) as engine:
        assert all(output.finite for output in engine.stream(frames))
        assert engine.infer(frames[0]).finite
"""


class Runner:
    """The stages, in the time that is left."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.out
        self.deadline_s = time.monotonic() + 60 * args.minutes
        self.failed: list[str] = []
        self.out.mkdir(parents=True, exist_ok=True)
        for folder in (WORK, WORK / "cases", WORK / "report"):
            folder.mkdir(parents=True, exist_ok=True)
        link_package(WORK / "site")
        self.machine_python = write_python(WORK / "python-torch", "", sys.executable)

    @property
    def left_s(self) -> float:
        """Seconds until nothing more may begin."""
        return max(1.0, self.deadline_s - time.monotonic())

    def python(self, kit: str) -> Path:
        """Interpreter of an unpacked kit (``trt86``, ``rtx``, ``ort``), with mostnet beside the kit's libraries."""
        environment = KITS / kit / "env.sh"
        if not environment.is_file():
            raise SystemExit(f"the kit {kit} is not unpacked: run the stage parts for each of its parts first")
        own = KITS / kit / "python" / "bin" / "python3.10"
        setup = [f". {environment}"]
        if kit == "ort":  # it finds the CUDA and cuDNN of PyTorch's wheels in no other way
            folders = [str(path) for entry in sys.path for path in Path(entry).glob("nvidia/*/lib")]
            setup.append(f'export LD_LIBRARY_PATH="{":".join(folders)}:$LD_LIBRARY_PATH"')
        python = str(own) if own.is_file() else sys.executable
        return write_python(WORK / f"python-{kit}", "\n".join(setup), python)

    def run(self, name: str, command: Sequence[object], *, watch: Callable[[], None] | None = None, **env: str) -> bool:
        """Run a stage's command with its output in ``OUT/NAME.txt``; false if it fails or time runs out."""
        path = self.out / f"{name}.txt"
        begun_s = time.monotonic()
        with path.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [str(word) for word in command], cwd=ROOT, env={**os.environ, **env}, stdout=log, stderr=log
            )
            while process.poll() is None and self.deadline_s > time.monotonic():
                time.sleep(1.0)
                if watch is not None:
                    watch()
            late = process.poll() is None
            if late:
                process.kill()
            status = process.wait()
        if watch is not None:
            watch()
        took_s = time.monotonic() - begun_s
        verdict = "out of time" if late else "ok" if status == 0 else f"status {status}"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        print(f"== {name}: {verdict} in {took_s:.0f} s", *lines[-12:], sep="\n   ", flush=True)
        if verdict != "ok":
            self.failed.append(name)
        return verdict == "ok"

    def parts(self) -> None:
        """Store the carried parts of a kit; the last to arrive unpacks it, with the wheels of pytest beside it."""
        for part in sorted(self.args.parts.glob("**/assemble.sh")):
            self.run("parts", ["bash", part])
        site = KITS / self.args.kit / "site"
        for wheel in self.args.parts.glob("**/wheels/*.whl"):
            shutil.copy(wheel, WORK)
        if site.is_dir() and self.args.kit == "trt86":
            for wheel in WORK.glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(site)

    def background(self) -> None:
        """Prepare every case while further parts are carried: in a session of its own, so that it outlives the call."""
        command = [self.machine_python, "-m", "mostnet.bench.gpu.prepare", WORK / "cases", "--opset", self.opset]
        with (WORK / "prepare.txt").open("a", encoding="utf-8") as log:
            words = [str(word) for word in command]
            process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        (WORK / "prepare.pid").write_text(str(process.pid), encoding="utf-8")

    def prepare(self) -> None:
        """The cases that the tests need; what the background is at is waited for."""
        wanted = [WORK / "cases" / name / "case.json" for name in TESTED]
        while running_background() and self.left_s > 1 and not all(path.is_file() for path in wanted):
            time.sleep(1.0)
        command = [self.machine_python, "-m", "mostnet.bench.gpu.prepare", WORK / "cases", "--opset", self.opset]
        self.run("prepare", [*command, "--only", ",".join(TESTED)])

    def build(self) -> None:
        """Their plans."""
        end_background()
        folders = [WORK / "cases" / name for name in (*WARPS, *TESTED)]
        command = [self.python(self.args.kit), "-m", "mostnet.bench.gpu.build", *folders, "--flavour", self.flavour]
        self.run("build", command)

    def tests(self) -> None:
        """``tests/gpu``: all on the small network with 50,000 frames, then the bounds of accuracy on the large one."""
        python = self.python(self.args.kit)
        end_background()
        command = [
            python,
            "-m",
            "pytest",
            "tests/gpu",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "faulthandler_timeout=560",
        ]
        if self.args.kit == "ort":
            self.run("tests", [*command, "-k", "onnx_on_gpu"], **self.case(TESTED[0]))
            return
        command += ["--ignore=tests/gpu/test_onnx_on_gpu.py"]
        self.run("tests", command, **self.case(TESTED[0]), MOSTNET_GPU_FRAMES="50000")
        self.run("tests-dw", [*command, "-k", "bounds or stream_is_infer or options"], **self.case(TESTED[1]))

    def sanitizer(self) -> None:
        """A few frames under compute-sanitizer."""
        tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
        if tool is None:
            print("== sanitizer: skipped, this machine has no compute-sanitizer", flush=True)
            return
        end_background()
        folder = WORK / "cases" / TESTED[0]
        command = [tool, "--tool", "memcheck", "--target-processes", "all", "--error-exitcode", "9"]
        command += ["--report-api-errors", "no"]  # libraries probe for symbols, and their failures are no fault
        script = [self.python(self.args.kit), "-c", SANITISED, folder / "case.plan", folder / "frames.npy"]
        self.run("sanitizer", [*command, *script])

    def report(self) -> None:
        """``mostnet.bench.gpu.report`` on what there are kits for, copied to OUT as it grows."""
        end_background()
        pythons = {"torch": self.machine_python}
        if (KITS / "ort" / "env.sh").is_file():
            pythons["ort"] = self.python("ort")
        if self.args.kit != "ort":
            pythons["tensorrt"] = self.python(self.args.kit)
        order = [part for part in ("tensorrt", "torch", "ort") if part in pythons]
        command: list[object] = [self.machine_python, "-m", "mostnet.bench.gpu.report", WORK / "report"]
        command += ["--cases", WORK / "cases", "--flavour", self.flavour, "--opset", self.opset, "--resume"]
        command += ["--parts", ",".join(order), "--minutes", f"{self.left_s / 60 - 0.5:.2f}"]
        for part, python in pythons.items():
            command += ["--python", f"{part}={python}"]
        if self.args.only:
            command += ["--only", self.args.only]
        self.run("report", command, watch=lambda: mirror(WORK / "report", self.out))

    @property
    def flavour(self) -> str:
        """Of TensorRT, by the kit."""
        return "rtx" if self.args.kit == "rtx" else "tensorrt"

    @property
    def opset(self) -> str:
        """17 is read by every TensorRT, and 8.6 reads no newer one."""
        return "17"

    def case(self, name: str) -> dict[str, str]:
        """What the tests are told."""
        return {"MOSTNET_GPU_CASE": str(WORK / "cases" / name), "MOSTNET_REQUIRE_GPU": "1"}


def running_background() -> int | None:
    """The process that prepares cases in the background; None once it has ended, waited for or not."""
    path = WORK / "prepare.pid"
    if not path.is_file():
        return None
    pid = int(path.read_text(encoding="utf-8"))
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    return pid if b"gpu_prepare" in command else None  # that of a zombie is empty


def end_background() -> None:
    """Nothing else may be on the GPU while plans are built, tested and timed; the report makes what is missing."""
    pid = running_background()
    if pid is None:
        return
    os.killpg(pid, signal.SIGKILL)
    while running_background() is not None:
        time.sleep(0.1)
    print("== background: ended, cases that are missing are made by the report", flush=True)


def link_package(site: Path) -> None:
    """Make ``site/mostnet`` out of links to the checkout, so that nothing has to be installed."""
    package = site / "mostnet"
    package.mkdir(parents=True, exist_ok=True)
    parts = [init.parent for init in ROOT.glob("*/__init__.py") if init.parent.name not in ("api", "tests")]
    for path in (*(ROOT / "api").iterdir(), *parts):
        link = package / path.name
        if not link.is_symlink():  # the background may be importing from it
            link.symlink_to(path)


def write_python(path: Path, setup: str, python: str) -> Path:
    """A script that is a Python with mostnet on its path, after ``setup``."""
    lines = ["#!/bin/sh", setup, f'export PYTHONPATH="{WORK / "site"}:$PYTHONPATH"', f'exec {python} "$@"']
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def mirror(source: Path, target: Path) -> None:
    """Copy the report's files that are newer than their copies."""
    for path in source.iterdir():
        copy = target / path.name
        wanted = path.is_file() and not path.name.startswith(".") and path.stat().st_size < _LARGEST_BYTES
        if wanted and (not copy.is_file() or copy.stat().st_mtime < path.stat().st_mtime):
            shutil.copy2(path, copy)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.run_all", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is to come back")
    parser.add_argument("--kit", choices=("trt86", "rtx", "ort"), default="trt86", help="(default: %(default)s)")
    parser.add_argument("--parts", type=Path, default=Path(".parts"), help="carried parts of the kit (default: .parts)")
    parser.add_argument("--minutes", type=float, default=9.0, help="nothing runs longer (default: %(default)s)")
    parser.add_argument("--only", help="cases of the report, as dw-480x640,nano-720p (default: all)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stages named, in the order of ``STAGES``; 1 if one failed."""
    args = parse(argv)
    runner = Runner(args)
    for stage in STAGES:
        if stage not in args.stages:
            continue
        if runner.deadline_s <= time.monotonic():
            print(f"== {stage}: not begun, time ran out", flush=True)
            runner.failed.append(stage)
            continue
        getattr(runner, stage)()
    print(f"failed: {', '.join(runner.failed) or 'nothing'}", flush=True)
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
