"""Which pictures a name stands for: a folder, a pattern such as ``%04d.png`` or ``*.png``, or one picture."""

from __future__ import annotations

import glob
import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from mostnet.contract import VideoError, natural_key

_LOG = logging.getLogger(__name__)

#: Kinds of pictures, by suffix; each group is one kind.
_KINDS = ((".png",), (".jpg", ".jpeg"), (".bmp",), (".tif", ".tiff"), (".webp",), (".ppm", ".pgm", ".pnm"), (".jp2",))
_KIND = {suffix: kind[0] for kind in _KINDS for suffix in kind}

_NUMBER = re.compile(r"%(?:0(\d+))?d")
_PARTS = re.compile(r"(%(?:0\d+)?d|%%)")


@dataclass(frozen=True)
class PictureFiles:
    """Pictures in numeric order; ``name`` stands for all of them in messages."""

    name: str
    paths: tuple[Path, ...]


def find_pictures(source: str | Path) -> PictureFiles | None:
    """The pictures that ``source`` stands for; None if it is the name of something else.

    Raises:
        VideoError: a folder or pattern without pictures.
    """
    path, name = Path(source), str(source)
    if path.is_dir():
        return _sorted(
            name, path.iterdir(), "is a folder; give a video file in it, or a folder of pictures such as .png"
        )
    if path.exists():
        return PictureFiles(name, (path,)) if is_picture(path) and path.is_file() and not _moves(path) else None
    if _count_numbers(path.name) and path.suffix.lower() in _KIND:
        return _sorted(
            name, numbered_files(path), "no picture has a name of this pattern; check its folder and its digits"
        )
    if glob.has_magic(name) and (path.suffix.lower() in _KIND or not path.suffix or glob.has_magic(path.suffix)):
        return _sorted(name, _matching(path), "no picture has a name of this pattern; check its folder")
    return None


def is_picture(path: Path) -> bool:
    """Whether ``path`` is a picture by its name, and no hidden file or folder."""
    return path.suffix.lower() in _KIND and not path.name.startswith(".") and not path.is_dir()


def is_pattern(path: Path) -> bool:
    """Whether the name of ``path`` has exactly one number, such as ``%05d``; ``%%05d`` is none."""
    return _count_numbers(path.name) == 1


def numbered_files(pattern: Path) -> Iterable[Path]:
    """Files of FFmpeg's pattern: ``%d`` is a number, ``%04d`` one of at least four digits, ``%%`` a per cent sign."""
    wanted = "".join(_expression(part) for part in _PARTS.split(pattern.name))
    folder = pattern.parent
    return (path for path in folder.iterdir() if re.fullmatch(wanted, path.name)) if folder.is_dir() else ()


def numbered_file(pattern: Path, number: int) -> Path:
    """The file of FFmpeg's pattern that has this number."""
    return pattern.with_name("".join(_filled(part, number) for part in _PARTS.split(pattern.name)))


def _sorted(name: str, found: Iterable[Path], none_found: str) -> PictureFiles:
    paths = sorted((path for path in found if is_picture(path)), key=natural_key)
    if not paths:
        raise VideoError(f"{name}: {none_found}")
    kinds = sorted({_KIND[path.suffix.lower()] for path in paths})
    if len(kinds) > 1:
        _LOG.warning(
            "%s: pictures of several kinds (%s) are read as one video; '*.png' reads one", name, ", ".join(kinds)
        )
    _say_missing(name, paths)
    return PictureFiles(name, tuple(paths))


def _moves(path: Path) -> bool:
    """Whether a PNG is an animation, which FFmpeg reads."""
    with path.open("rb") as file:
        return b"acTL" in file.read(1 << 12)


def _count_numbers(name: str) -> int:
    return sum(_NUMBER.fullmatch(part) is not None for part in _PARTS.split(name))


def _expression(part: str) -> str:
    """The regular expression of a part of a pattern."""
    if found := _NUMBER.fullmatch(part):
        return rf"[0-9]{{{found[1] or 1},}}"
    return re.escape("%" if part == "%%" else part)


def _filled(part: str, number: int) -> str:
    return part % number if _NUMBER.fullmatch(part) else "%" if part == "%%" else part


def _matching(pattern: Path) -> Iterable[Path]:
    """Files of a shell's pattern. A folder that exists is not a pattern, even with brackets in its name."""
    if pattern.parent.is_dir():
        return (path for path in pattern.parent.iterdir() if fnmatchcase(path.name, pattern.name))
    return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def _say_missing(name: str, paths: list[Path]) -> None:
    """Say which number is missing first, if the names differ in one number that usually counts on evenly."""
    if len({re.sub(r"\d+(?=\D*$)", "", path.stem) for path in paths}) > 1:
        return
    numbers = [int(found[0]) for path in paths if (found := re.findall(r"\d+(?=\D*$)", path.stem))]
    steps = [after - before for before, after in pairwise(numbers)]
    rises = [step for step in steps if step > 0]  # 1.jpg and 1.png have the same number
    if len(numbers) < len(paths) or not rises:
        return
    usual = Counter(rises).most_common(1)[0][0]
    gaps = [k for k, step in enumerate(steps) if step > usual]
    if gaps:
        _LOG.warning(
            "%s: a number is missing after %s (%d such gaps); the pictures follow each other without a pause",
            name,
            paths[gaps[0]].name,
            len(gaps),
        )
