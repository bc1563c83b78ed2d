"""Synthetic sequences on disk, in the layout that ``mostnet.training.data.dataset`` reads.

OUT/SPLIT/dataset.json               seeds, options and versions; unfinished.json until all sequences are there
         /000000/input/000000.jpg    degraded frame
                /reference/000000.png
                /mask/000000.png     255 on visible tooth
                /flow/000000.png     KITTI 16-bit: (value - 2^15) / 64 pixels in red (dx) and green (dy), blue: valid
                /similarity.csv      one frame per line: the 2x3 matrix, row by row
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType

import cv2
import numpy as np

from mostnet.contract import DatasetError, Frame, check_size, staging_folder
from mostnet.contract.metrics import Mask
from mostnet.contract.stopping import SignalInterrupt, StopRequest, leave_stopping_to_the_parent, signals_wait
from mostnet.training.data.dataset import SPLITS, LabelledFrame
from mostnet.training.data.flow_files import write_flow

from .sequence import SynthOptions, SynthSequence, make_sequence
from .split import is_written, split_folder

#: Number of seeds reserved for each split, in the order of ``SPLITS``, so that no two splits share a seed.
SEEDS_PER_SPLIT = 1_000_000_000

#: Sequences per worker that are handed to the pool at a time, and the longest time until a signal is noticed.
_AHEAD, _POLL_S = 4, 0.2

_ENCODING = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3]}


def sequence_seeds(split: str, *, seed: int, sequences: int) -> range:
    """Seeds of the sequences of a split; no two splits share one.

    Raises:
        DatasetError: no such split, no sequences, or seeds out of the split's range.
    """
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    if sequences < 1 or not 0 <= seed <= SEEDS_PER_SPLIT - sequences:
        raise DatasetError(
            f"{sequences} sequences from seed {seed}; expected at least 1 sequence, and seeds of 0 to "
            f"{SEEDS_PER_SPLIT - 1}"
        )
    first = SPLITS.index(split) * SEEDS_PER_SPLIT + seed
    return range(first, first + sequences)


def write_split(
    out: str | Path,
    split: str,
    *,
    sequences: int,
    frames: int = 30,
    size_hw: tuple[int, int] = (240, 320),
    seed: int = 0,
    workers: int = 1,
    options: SynthOptions | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write drawn sequences with exact labels as one split, and return its folder.

    Each sequence appears whole or not at all; ``dataset.json`` appears when all sequences are there. After an
    interrupt, the same call continues, unless the options have a camera path.

    Args:
        out: data set to add the split to; made if missing.
        split: ``train``, ``val`` or ``test``; no two splits share a seed.
        sequences: number of sequences.
        frames: frames of each sequence.
        size_hw: frame height and width in pixels.
        seed: first seed within the split's own range.
        workers: processes that draw. A script that asks for more than one needs ``if __name__ == "__main__":`` around
            its work, because Python imports the script in each of them.
        options: of the camera, the scenes and the degradations.
        progress: called with the number of sequences written so far.

    Raises:
        DatasetError: the folder holds another split, a number is out of its range, or a worker died.
        FrameError: the size is too small.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C came; the sequences that are there are whole.
    """
    seeds = sequence_seeds(split, seed=seed, sequences=sequences)
    check_size(size_hw)
    if frames < 1 or workers < 1:
        raise DatasetError(f"{frames} frames and {workers} workers; expected at least 1 of each")
    options = options or SynthOptions()
    described = {**asdict(options), "path": None if options.path is None else "given"}
    record = {"sequences": sequences, "frames": frames, "size_hw": size_hw, "options": described}
    with split_folder(Path(out), split, record, seeds=seeds, resumes=options.path is None) as folder:
        work = partial(_make_and_write, folder, frames=frames, size_hw=size_hw, options=options)
        missing = [(i, seed) for i, seed in enumerate(seeds) if not is_written(folder / f"{i:06}", frames=frames)]
        there = sequences - len(missing)
        _run(work, missing, workers, lambda done: progress(there + done))
    return folder


def write_sequence(folder: Path, sequence: SynthSequence) -> None:
    """Write one drawn sequence as ``folder``, which appears when it is complete.

    Raises:
        DatasetError: the folder exists.
    """
    fields = (sequence.input, sequence.reference, sequence.mask, sequence.flow, sequence.valid)
    with whole_folder(folder) as temporary:
        write_frames(temporary, map(LabelledFrame, *fields), input_suffix=".jpg")
        rows = sequence.similarity.reshape(-1, 6)
        np.savetxt(temporary / "similarity.csv", rows, fmt="%.9g", delimiter=",", header="a00,a01,a02,a10,a11,a12")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which becomes ``folder`` at the end of the block, or vanishes if the block fails.

    Raises:
        DatasetError: the folder exists.
    """
    if folder.exists():
        raise DatasetError(f"{folder} exists; remove it first")
    with staging_folder(folder.parent) as temporary:
        whole = temporary / folder.name
        whole.mkdir()
        yield whole
        whole.rename(folder)


def write_frames(folder: Path, frames: Iterable[LabelledFrame], *, input_suffix: str = ".png") -> None:
    """Write frames and the labels that they have into an empty folder."""
    for k, frame in enumerate(frames):
        write_picture(folder / f"input/{k:06}{input_suffix}", frame.input)
        if frame.reference is not None:
            write_picture(folder / f"reference/{k:06}.png", frame.reference)
        if frame.mask is not None:
            write_picture(folder / f"mask/{k:06}.png", frame.mask)
        if frame.flow is not None and frame.valid is not None:
            (folder / "flow").mkdir(exist_ok=True)
            write_flow(folder / f"flow/{k:06}.png", frame.flow, frame.valid)


def write_picture(path: Path, picture: Frame | Mask) -> None:
    """Write a picture in the format of the suffix, ``.png`` or ``.jpg``; makes its folder."""
    done, data = cv2.imencode(path.suffix, picture, _ENCODING[path.suffix])
    assert done
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.tobytes())


def _make_and_write(
    folder: Path, place: tuple[int, int], *, frames: int, size_hw: tuple[int, int], options: SynthOptions
) -> None:
    index, seed = place
    write_sequence(folder / f"{index:06}", make_sequence(seed, frames=frames, size_hw=size_hw, options=options))


def _run(
    work: Callable[[tuple[int, int]], None],
    places: Sequence[tuple[int, int]],
    workers: int,
    progress: Callable[[int], None],
) -> None:
    if workers == 1:
        for done, place in enumerate(places, start=1):
            work(place)
            progress(done)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork inherits the locks of OpenCV's threads
    # A signal that raised within the pool's own code could leave one of its locks held for ever.
    with (
        ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool,
        StopRequest(second=_ignore) as stop,
    ):
        try:
            for done, made in enumerate(_completed(pool, work, places, _AHEAD * workers, stop), start=1):
                made.result()
                progress(done)
        except BrokenProcessPool as error:
            raise DatasetError(
                f"one of {workers} workers died, often for lack of memory; run the command again with fewer --workers "
                "to continue"
            ) from error
        except BaseException:
            # The end of the block would wait for all pending work.
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _completed(
    pool: ProcessPoolExecutor,
    work: Callable[[tuple[int, int]], None],
    places: Sequence[tuple[int, int]],
    ahead: int,
    stop: StopRequest,
) -> Iterator[Future[None]]:
    """Do the work in the pool, handed in ``ahead`` pieces at a time; yield each piece when it is done.

    Raises:
        SignalInterrupt: a signal has arrived.
    """
    rest = iter(places)
    pending: set[Future[None]] = set()
    while True:
        with signals_wait():  # a worker that starts can handle none yet
            pending |= {pool.submit(work, place) for place in islice(rest, ahead - len(pending))}
        if not pending:
            return
        done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        yield from done
        if stop.signal is not None:
            raise SignalInterrupt(stop.signal)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Handle a signal after the first one: the pool already ends."""


def _start_worker() -> None:
    leave_stopping_to_the_parent()
    cv2.setNumThreads(1)
