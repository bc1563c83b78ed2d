"""The videos of an archive, from a folder, a list or a table, and the name of the result of each."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from mostnet.contract import ArchiveError, natural_key
from mostnet.video.command.batch import is_video, result_names

#: Folder in the folder of results that holds what a later run needs.
OWN_FOLDER = ".mostnet-archive"
_VIDEO, _RESULT = "video", "result"


@dataclass(frozen=True, kw_only=True)
class SourceVideo:
    """A video of an archive, and where its result goes.

    Attributes:
        path: the file, absolute.
        name: as the source names it.
        result: MP4 file, relative to the folder of results.
        columns: other columns of the table that names the video.
    """

    path: Path
    name: str
    result: Path
    columns: Mapping[str, str] = field(default_factory=dict)


def read_source(source: Path, out: Path) -> tuple[SourceVideo, ...]:
    """The videos that ``source`` names: a folder, a list (.txt) or a table (.csv).

    Results go into ``out``. The listed files need not exist.

    Raises:
        ArchiveError: the source names no video or is ill-formed, two results have the same name, or a result would lie
            outside ``out`` or where a video of the source is or may be looked for.
    """
    suffix = source.suffix.lower()
    if source.is_dir():
        videos = _of_folder(source, out)
    elif suffix in (".txt", ".csv"):
        text = _text(source)
        videos = _of_list(source, text) if suffix == ".txt" else _of_table(source, text)
    elif source.exists():
        raise ArchiveError(
            f"{source}: expected a folder, a list (.txt) or a table (.csv); for one video, use mostnet-run"
        )
    else:
        raise ArchiveError(f"{source}: no such folder or file; expected a folder, a list (.txt) or a table (.csv)")
    if not videos:
        raise ArchiveError(f"{source}: names no video; give another source")
    _check_results(source, videos, out)
    return tuple(videos)


def _of_folder(folder: Path, out: Path) -> list[SourceVideo]:
    """The videos below a folder, without those in the folder of results."""
    if out.exists() and out.samefile(folder):
        raise ArchiveError(f"{out}: is the folder of the videos; give another folder for the results")
    root = Path(os.path.abspath(folder))  # noqa: PTH100  # keeps links, so that results mirror what the user sees
    return _named(
        [(path, str(path.relative_to(root)), path.relative_to(root).parent, {}) for path in _below(root, out)]
    )


def _below(folder: Path, out: Path) -> Iterator[Path]:
    """The videos below a folder in numeric order, without hidden ones; links to folders are not followed."""

    def stop(error: OSError) -> None:
        raise ArchiveError(f"{error.filename}: cannot be read ({error.strerror}); make it readable, or move it away")

    for place, folders, files in os.walk(folder, onerror=stop):
        here = Path(place)
        kept = (name for name in folders if not name.startswith(".") and not _is_same(here / name, out))
        folders[:] = sorted(kept, key=natural_key)
        yield from (here / name for name in sorted(files, key=natural_key) if is_video(here / name))


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and one.exists() and one.samefile(other)


def _text(source: Path) -> str:
    try:
        return source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{source}: is no text in UTF-8 ({error.reason}); save it as UTF-8") from error


def _of_list(source: Path, text: str) -> list[SourceVideo]:
    names = [line.strip() for line in text.split("\n")]
    return _named([_row(source, name, {}) for name in names if name and not name.startswith("#")])


def _of_table(source: Path, text: str) -> list[SourceVideo]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ArchiveError(f"{source}: is no table with commas ({error}); save it as CSV") from error
    first = next((k for k, cells in enumerate(rows) if any(cell.strip() for cell in cells)), len(rows))
    header = [name.strip() for name in rows[first]] if first < len(rows) else []
    if header.count(_VIDEO) != 1:
        raise ArchiveError(f"{source}: expected one column `{_VIDEO}`, found {', '.join(header) or 'none'}; name it so")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise ArchiveError(f"{source}: has two columns `{twice}`; name one of them otherwise")
    found, wanted = [], []
    for number, cells in enumerate(rows[first + 1 :], start=first + 2):
        if not any(cell.strip() for cell in cells):
            continue
        row = _columns(f"{source}: row {number}", header, [cell.strip() for cell in cells])
        name, result = row.pop(_VIDEO), row.pop(_RESULT, "")
        if not name:
            raise ArchiveError(f"{source}: row {number} names no `{_VIDEO}`; name one, or remove the row")
        found.append(_row(source, name, row))
        wanted.append(None if not result else _result(source, number, result))
    named = _named(found)
    return [
        video if result is None else replace(video, result=result) for video, result in zip(named, wanted, strict=True)
    ]


def _columns(where: str, header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """The cells of a row by their headings. Spreadsheets also write columns that have no heading and no cells."""
    if len(cells) != len(header):
        raise ArchiveError(f"{where} has {len(cells)} cells, and the header {len(header)}; correct it")
    stray = next((cell for name, cell in zip(header, cells, strict=True) if cell and not name), None)
    if stray is not None:
        raise ArchiveError(f"{where} has {stray!r} in a column without a heading; name the column, or empty it")
    return {name: cell for name, cell in zip(header, cells, strict=True) if name}


#: A video, its name in the source, the folder of its result, and other columns.
_Row = tuple[Path, str, Path, dict[str, str]]


def _row(source: Path, name: str, columns: dict[str, str]) -> _Row:
    """A listed video. Its result mirrors the folders below the list's; of a video elsewhere only the name counts."""
    if "\0" in name:
        raise ArchiveError(f"{source}: {name!r} is no name of a file; save the source as text in UTF-8")
    root = Path(os.path.abspath(source.parent))  # noqa: PTH100  # see above
    path = Path(os.path.abspath(root / name))  # noqa: PTH100
    return path, name, path.relative_to(root).parent if path.is_relative_to(root) else Path(), columns


def _named(rows: Sequence[_Row]) -> list[SourceVideo]:
    """Name the results as ``mostnet-run`` does, folder by folder."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path, _, folder, _ in rows:
        folders[folder].append(path)
    names = {folder: iter(result_names(paths)) for folder, paths in folders.items()}
    return [
        SourceVideo(path=path, name=name, result=folder / next(names[folder]), columns=columns)
        for path, name, folder, columns in rows
    ]


def _result(source: Path, number: int, text: str) -> Path:
    """The result that a row asks for, checked by its name alone."""
    path = PurePosixPath(text.replace("\\", "/")) if os.sep == "\\" else PurePosixPath(text)
    where = f"{source}: row {number}: result {text}"
    if path.suffix.lower() != ".mp4":
        raise ArchiveError(f"{where}: results are H.264 in MP4; give a name that ends in .mp4")
    if path.is_absolute() or ".." in path.parts or Path(text).drive:
        raise ArchiveError(f"{where}: lies outside the folder of results; give a path relative to that folder")
    return Path(path)


def _real(path: Path) -> Path:
    """A path without links in its folders: the file that a rename to ``path`` replaces."""
    return Path(os.path.realpath(path.parent)) / path.name


def _check_results(source: Path, videos: Sequence[SourceVideo], out: Path) -> None:
    """Check that no two videos have the same result, and that no result is, or may be taken for, a video."""
    seen: dict[str, str] = {}
    for video in videos:
        key = str(_real(out / video.result)).casefold()  # some file systems take both cases for one
        if key in seen:
            raise ArchiveError(
                f"{source}: {seen[key]} and {video.name} have the same result, {video.result}; give each its own in "
                f"the column `{_RESULT}` of a table"
            )
        seen[key] = video.name
    paths = {path for video in videos for path in (_real(video.path), Path(os.path.realpath(video.path)))}
    real, own = Path(os.path.realpath(out)), Path(os.path.realpath(out / OWN_FOLDER))
    root = Path(os.path.realpath(source)) if source.is_dir() else None
    for video in videos:
        target = _real(out / video.result)
        if target in paths:
            raise ArchiveError(f"{out / video.result}: is a video of the source; give another folder for the results")
        if video.result.parts[0].casefold() == OWN_FOLDER or target.is_relative_to(own):
            raise ArchiveError(
                f"{source}: {video.name}: {OWN_FOLDER} is for mostnet-archive itself; give another result, in the "
                f"column `{_RESULT}` of a table"
            )
        is_skipped = target.is_relative_to(real) and root is not None and real.is_relative_to(root)
        if root is not None and target.is_relative_to(root) and not is_skipped:
            raise ArchiveError(
                f"{out / video.result}: the next run would take this result for a video of {source}; give another "
                "folder for the results"
            )
