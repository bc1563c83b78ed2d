"""The engine of ``mostnet-run``: an exported file, or a checkpoint that is exported once into the cache folder."""

from __future__ import annotations

import difflib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from mostnet.contract import CheckpointError, ExportError, ModelFileError, OutputName, sha256, staging_folder
from mostnet.contract.arguments import size_text
from mostnet.contract.files import CACHE_VARIABLE, cache_folder
from mostnet.contract.shipped import checkpoint_path, shipped_names
from mostnet.contract.versions import mostnet_version
from mostnet.engine import Engine
from mostnet.video.files.opening import STDIN
from mostnet.video.fit import FrameFit
from mostnet.video.reader import VideoReader

#: The size of an engine for a camera or a pipe, and the number of pixels of any other engine.
USUAL_HW = (480, 640)
#: Most characters of a checkpoint's name in the name of its export.
_MOST_NAME = 60
#: What to do when the export does not work from here.
_BY_HAND = "run mostnet-export yourself, and give its .onnx file to --engine"

Video = str | Path | int


class EngineSupply:
    """Opens the engine that a video needs, and keeps it for the next video if that needs the same."""

    def __init__(
        self,
        name: str,
        outputs: Sequence[OutputName],
        *,
        size_hw: tuple[int, int] | None = None,
        say: Callable[[str], None],
    ) -> None:
        """``name`` is a file, .onnx or .plan, or a checkpoint.

        Args:
            name: see above.
            outputs: outputs of the engine.
            size_hw: frame size of a checkpoint's engine, in pixels; None chooses it by the video.
            say: told in one line when a checkpoint is exported, and when an earlier export of it is damaged.

        Raises:
            CheckpointError: ``name`` is none of these.
        """
        self._path = Path(name) if is_exported(name) else _checkpoint(name)
        self._is_checkpoint = not is_exported(name)
        self._outputs = outputs
        self._size_hw = size_hw
        self._say = say
        self._engine: Engine | None = None
        self._file: Path | None = None
        self._exports = 0

    def engine_for(self, video: Video, *, fps: Fraction | None = None) -> Engine:
        """The engine for a video, open until the next call or ``close``.

        Raises:
            VideoError: the video cannot be opened.
            ExportError: the checkpoint cannot be exported.
            MostnetError: the engine cannot be opened, see ``Engine``.
        """
        exports = self._exports
        file = self.file_for(video, fps=fps)
        if self._engine is None or file != self._file:
            self.close()
            try:
                self._engine = Engine(file, outputs=self._outputs)
            except ModelFileError as error:
                if not self._is_checkpoint or self._exports > exports:
                    raise
                self._say(f"the earlier export is made again, because it cannot be opened: {error}")
                self._engine = Engine(self._exported(video, fps, again=True), outputs=self._outputs)
            self._file = file
        return self._engine

    def file_for(self, video: Video, *, fps: Fraction | None = None) -> Path:
        """The exported file for a video; errors as in ``engine_for``."""
        return self._exported(video, fps) if self._is_checkpoint else self._path

    def _exported(self, video: Video, fps: Fraction | None, *, again: bool = False) -> Path:
        size_hw = self._size_hw or usual_size(video, fps=fps)
        return exported_file(self._path, size_hw, say=self._say_export, again=again)

    def _say_export(self, line: str) -> None:
        self._exports += 1
        self._say(line)

    def close(self) -> None:
        """Close the engine, if one is open."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None

    def __enter__(self) -> EngineSupply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_exported(name: str) -> bool:
    """Whether this is the name of an exported model, and of no checkpoint."""
    return Path(name).suffix in (".onnx", ".plan")


def _checkpoint(name: str) -> Path:
    """The file of a checkpoint.

    Raises:
        CheckpointError: there is none; the message names the shipped one that may be meant.
    """
    expected = "expected .onnx, .plan, CKPT.pt or the name of a shipped checkpoint such as nano"
    shipped = {shipped.casefold(): shipped for shipped in shipped_names()}
    close = difflib.get_close_matches(name.casefold().removesuffix(".pt"), shipped, n=1)
    meant = f"; did you mean {shipped[close[0]]}?" if close else ""
    if Path(name).suffix not in ("", ".pt"):
        raise CheckpointError(f"{name}: neither an engine nor a checkpoint; {expected}{meant}")
    try:
        path = checkpoint_path(name)
    except CheckpointError as error:
        raise CheckpointError(f"{error}" if name in shipped.values() else f"{error}; {expected}{meant}") from error
    if not path.is_file():
        raise CheckpointError(f"{name}: no such file; {expected}{meant}")
    return path


def usual_size(video: Video, *, fps: Fraction | None = None) -> tuple[int, int]:
    """Height and width of an engine for a video, in pixels: its shape, with no more pixels than it or ``USUAL_HW``.

    Raises:
        VideoError: the video cannot be opened.
    """
    if isinstance(video, int) or video == STDIN or Path(video).is_fifo():
        return USUAL_HW
    with _unsaid(), VideoReader(video, fps=fps) as reader:
        height, width = reader.size_hw
        fit = FrameFit(reader.size_hw, USUAL_HW, reader.pixel_aspect)
    return fit.of_area(min(USUAL_HW[0] * USUAL_HW[1], height * width))


def exported_file(
    checkpoint: Path, size_hw: tuple[int, int], *, say: Callable[[str], None], again: bool = False
) -> Path:
    """The checkpoint as an FP32 graph for frames of ``size_hw``, in the cache folder.

    It is exported if it is missing, or to be made ``again``. ``say`` is told so before.

    Raises:
        ExportError: the export failed, for instance because its libraries are not installed, or the cache folder
            cannot be written.
        OSError: the checkpoint cannot be read.
    """
    folder = cache_folder()
    key = f"{size_hw[0]}x{size_hw[1]}-fp32-{sha256(checkpoint)[:16]}-{mostnet_version()}"
    file = folder / f"{checkpoint.stem[:_MOST_NAME]}-{key}.onnx"
    if file.is_file() and not again:
        return file
    say(f"exporting {checkpoint.stem} for frames of {size_hw[0]}x{size_hw[1]}, once, into {file}")
    try:
        with staging_folder(folder) as staging:
            _export(checkpoint, size_hw, staging).replace(file)
    except OSError as error:
        raise ExportError(
            f"{folder}: cannot be written ({error.strerror}); name another folder with {CACHE_VARIABLE}"
        ) from error
    return file


def _export(checkpoint: Path, size_hw: tuple[int, int], folder: Path) -> Path:
    """Run ``mostnet-export`` as a process, because PyTorch stays out of this one; return the graph in ``folder``."""
    command = [sys.executable, "-m", "mostnet.export.cli", str(checkpoint.absolute()), "--fp32", "--onnx-only"]
    command += ["--size", size_text(size_hw), "--output", str(folder)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ExportError(f"cannot start mostnet-export: {error}; {_BY_HAND}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1].removeprefix("mostnet-export: ") if lines else f"it ended with status {done.returncode}"
        raise ExportError(f"{checkpoint.name}: cannot be exported: {said}")
    graph = next(folder.glob("*.onnx"), None)
    if graph is None:
        raise ExportError(f"{checkpoint.name}: mostnet-export wrote no .onnx file; {_BY_HAND}")
    return graph


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep remarks about a video to the run, which opens it again."""
    logger = logging.getLogger("mostnet.video")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
