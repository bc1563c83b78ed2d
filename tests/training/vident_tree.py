"""A small data set in the layout of Vident-real, from drawn scenes with known motion.

    python -m tests.training.vident_tree ROOT

Where the flow of a pixel is unknown, OF_backw holds NaN. The published flow is RAFT's, which has a vector everywhere.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.training.data.matrix_direction import Direction
from mostnet.training.synth.sequence import SynthOptions, SynthSequence, make_sequence

SEQUENCES = {"train": 3, "val": 1, "test": 1}
SIDES = ("left", "right", "front")
JPEG_QUALITY = 95
#: Clear motion, whose steps differ from frame to frame, and no rolling shutter, which no matrix describes.
CLEAR_MOTION = SynthOptions(
    hand_px=(40.0, 58.0), vibration_px=(5.0, 9.0), readout=(0.0, 0.0), degradation=0.3, tool_share=0.0, drops_share=0.0
)


def write_tree(
    root: Path,
    *,
    sequences: Mapping[str, int] = SEQUENCES,
    frames: int = 6,
    size_hw: tuple[int, int] = (96, 128),
    first_number: int = 41070,
    step: int = 1,
    flow: bool = True,
    direction: Direction = Direction.TO_THIS,
    seed: int = 1,
) -> None:
    """Write a data set.

    Args:
        root: folder of the splits; made if missing.
        sequences: number of sequences per split.
        frames: frames per sequence.
        size_hw: of the frames.
        first_number: number of the first frame. The second sequence of each split crosses 1000 instead, so that its
            names in alphabetical order are not in numeric order.
        step: between the numbers of consecutive frames.
        flow: write OF_backw.
        direction: of the matrices in homo_4df.pkl.
        seed: of the first sequence.
    """
    number = 0
    for split, count in sequences.items():
        for k in range(count):
            first = max(1, 1000 - step * (frames // 2)) if k == 1 else first_number
            folder = root / split / f"{61 + number:04d}_{SIDES[number % len(SIDES)]}"
            made = make_sequence(seed + number, frames=frames, size_hw=size_hw, options=CLEAR_MOTION)
            write_sequence(
                folder, made, numbers=range(first, first + step * frames, step), flow=flow, direction=direction
            )
            number += 1


def write_sequence(folder: Path, made: SynthSequence, *, numbers: range, flow: bool, direction: Direction) -> None:
    """Write one sequence, whose frames have these numbers."""
    for name in ("input", "GT", "masks", *(["OF_backw"] if flow else [])):
        (folder / name).mkdir(parents=True)
    for t, number in enumerate(numbers):
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        assert cv2.imwrite(str(folder / f"input/{number}.jpg"), made.input[t], quality)
        assert cv2.imwrite(str(folder / f"GT/{number}.png"), made.reference[t])
        assert cv2.imwrite(str(folder / f"masks/{number}.png"), made.mask[t])
        if flow and t > 0:
            vectors = np.where(made.valid[t], made.flow[t], np.float32(np.nan)).transpose(1, 2, 0)
            np.save(folder / f"OF_backw/{number}.npy", np.ascontiguousarray(vectors))
    matrices = published(backward_matrices(made), direction)
    (folder / "homo_4df.pkl").write_bytes(pickle.dumps(list(matrices)))


def backward_matrices(made: SynthSequence) -> npt.NDArray[np.float64]:
    """The motion of the teeth, ``(T, 3, 3)``: matrix t maps a point of frame t to its place in frame t-1."""
    bottom = np.tile([[[0.0, 0.0, 1.0]]], (len(made.similarity), 1, 1))
    return np.concatenate([made.similarity, bottom], axis=1)


def published(backward: npt.NDArray[np.float64], direction: Direction) -> npt.NDArray[np.float64]:
    """Backward matrices ``(T, 3, 3)`` as a data set of this direction holds them; the inverse of ``backward``.

    The common frame is the first one. The last matrix is the identity if it would belong to a frame after the end.
    """
    if direction in (Direction.TO_NEXT, Direction.FROM_NEXT):
        found = np.concatenate([backward[1:], np.eye(3)[None]])
    elif direction in (Direction.TO_COMMON, Direction.FROM_COMMON):
        found = np.stack([backward[0]] * len(backward))
        for t in range(1, len(backward)):
            found[t] = found[t - 1] @ backward[t]
    else:
        found = backward
    inverted = direction in (Direction.TO_THIS, Direction.TO_NEXT, Direction.FROM_COMMON)
    return np.asarray(np.linalg.inv(found)) if inverted else found


def main() -> None:
    """Parse the command line and write the data set."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.training.vident_tree",
        description="Write a small data set in the layout of Vident-real, from drawn scenes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the splits")
    parser.add_argument("--frames", type=int, default=6, help="frames per sequence")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("H", "W"), help="size of the frames")
    parser.add_argument("--no-flow", action="store_true", help="leave out OF_backw")
    names = [direction.name for direction in Direction]
    parser.add_argument("--direction", choices=names, default="TO_THIS", help="direction of the matrices")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first sequence")
    args = parser.parse_args()
    write_tree(
        args.root,
        frames=args.frames,
        size_hw=(args.size[0], args.size[1]),
        flow=not args.no_flow,
        direction=Direction[args.direction],
        seed=args.seed,
    )


if __name__ == "__main__":
    main()
