"""Writes exported models as model repositories of Triton, one for each backend.

``REPOSITORY/BACKEND/NAME/VERSION/FILE``, beside ``config.pbtxt`` of the model in ``REPOSITORY/BACKEND/NAME``. Both
backends have the same model names, so a client does not see which one serves it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

from mostnet.contract import ExportError, PlanInfo, staging_folder
from mostnet.contract.arguments import size_text
from mostnet.contract.files import lock_folder

from .config import BACKENDS, model_config, without_description
from .options import TritonOptions
from .placing import Placing
from .readme import WrittenModel, readme_text
from .signature import Signature, read_served_plan, read_signature

_CONFIG = "config.pbtxt"

_Place: TypeAlias = Callable[[Callable[[], None]], list[str]]


@dataclass(frozen=True)
class ModelFiles:
    """The files of one frame size that an export made.

    Attributes:
        onnx: the graph.
        plan: its plan, with ``.json`` beside it; None if there is none.
    """

    onnx: Path
    plan: Path | None = None


@dataclass(frozen=True)
class _Source:
    """One frame size: its model's name, its checked files, and the description of a plan that Triton loads."""

    name: str
    graph: Signature
    files: ModelFiles
    plan: PlanInfo | None


@dataclass(frozen=True)
class _Addition:
    """One version of one model for one backend; ``files`` has the source of each file, by its new name."""

    backend: str
    model: str
    version: int
    files: dict[str, Path]
    config: str


def write_repository(
    folder: str | Path,
    models: Sequence[ModelFiles],
    *,
    name: str = "mostnet",
    cameras: int = 8,
    idle_s: float = 10.0,
) -> list[str]:
    """Write exported models as model repositories: ``folder/onnxruntime``, and ``folder/tensorrt`` for classic plans.

    A model that the repository has already gets a new version; no version is overwritten. All is put in place, or
    nothing.

    Args:
        folder: made if missing.
        models: the files of each frame size. With several, each model's name ends with its size.
        name, cameras, idle_s: as in ``TritonOptions``.

    Returns:
        Lines to print: what was written, and why there is no plan.

    Raises:
        ExportError: an option is out of range, a file was not made by mostnet-export, two models have one size, or the
            repository has a model of this name that differs in more than its weights, or cannot be written.
        ModelFileError: a file is damaged.
    """
    options = TritonOptions(repository=Path(folder), name=name, cameras=cameras, idle_s=idle_s)
    with staged_repository(options, models) as place:
        return place(lambda: None)


@contextmanager
def staged_repository(options: TritonOptions, models: Sequence[ModelFiles]) -> Iterator[_Place]:
    """Check and stage everything, and lend the function that puts it in place, and returns lines to print.

    It takes a last step: if that fails, the repository becomes what it was. Another export into the repository waits
    until the block ends.

    Raises:
        ExportError, ModelFileError: as ``write_repository``; nothing has changed.
    """
    sources = _read(options, models)
    root = options.repository
    with ExitStack() as stack:
        with _failures_named(root):
            staged = stack.enter_context(staging_folder(root))
            lock = lock_folder(root.resolve(), wait=True)
            if lock is not None:
                stack.callback(os.close, lock)
            served, additions = _plan_additions(root, sources, options)
            _stage(staged, additions)
        yield lambda last: _place(options, staged, served, additions, last)


@contextmanager
def _failures_named(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(f"{root}: the repository cannot be written ({error}); nothing was changed") from error


def _stage(staged: Path, additions: Sequence[_Addition]) -> None:
    for addition in additions:
        target = staged / addition.backend / addition.model / str(addition.version)
        target.mkdir(parents=True)
        for file, source in addition.files.items():
            shutil.copyfile(source, target / file)
        (target.parent / _CONFIG).write_text(addition.config, encoding="utf-8")


def _read(options: TritonOptions, models: Sequence[ModelFiles]) -> list[_Source]:
    """The models, after all checks that do not need the repository."""
    if not models:
        raise ExportError("no model given; give at least one exported file")
    graphs = [read_signature(files.onnx) for files in models]
    names = [_model_name(options, graph, several=len(models) > 1) for graph in graphs]
    if len(set(names)) < len(names):
        raise ExportError("two models have the same frame size; give one file of each size")
    return [
        _Source(name, graph, files, None if files.plan is None else read_served_plan(files.plan, graph))
        for name, graph, files in zip(names, graphs, models, strict=True)
    ]


def _plan_additions(
    root: Path, sources: Sequence[_Source], options: TritonOptions
) -> tuple[list[WrittenModel], list[_Addition]]:
    """What to add, after all checks of the repository, which must be locked."""
    _check_places(root)
    served: list[WrittenModel] = []
    additions: list[_Addition] = []
    for source in sources:
        name, plan = source.name, source.files.plan
        version = 1 + max((v for backend in BACKENDS for v in _versions(root / backend / name)), default=0)
        copies = {"onnxruntime": {BACKENDS["onnxruntime"]: source.files.onnx}}
        if plan is not None and source.plan is not None:
            file = BACKENDS["tensorrt"]
            copies["tensorrt"] = {file: plan, f"{file}.json": plan.with_name(f"{plan.name}.json")}
        for backend, files in copies.items():
            config = model_config(name, source.graph, backend, options)
            _check_existing(root / backend / name, config)
            additions.append(_Addition(backend, name, version, files, config))
        has_rtx = plan is not None and source.plan is None
        served.append(WrittenModel(name, version, source.graph.metadata, source.plan, has_rtx=has_rtx))
    return served, additions


def _check_places(root: Path) -> None:
    """Refuse a repository with a file in place of a folder, or a folder in place of a file."""
    for backend in BACKENDS:
        if (root / backend).exists() and not (root / backend).is_dir():
            raise ExportError(f"{root / backend}: is a file; move it away, or name another repository")
    if (root / "README.md").is_dir():
        raise ExportError(f"{root / 'README.md'}: is a folder; move it away, or name another repository")


def _model_name(options: TritonOptions, graph: Signature, *, several: bool) -> str:
    return f"{options.name}-{size_text(graph.metadata.size_hw)}" if several else options.name


def _versions(model: Path) -> list[int]:
    return [int(path.name) for path in model.glob("*") if path.name.isascii() and path.name.isdecimal()]


def _check_existing(model: Path, config: str) -> None:
    """Refuse to add a version to a model whose configuration differs in more than the description of its weights."""
    if not model.exists():
        return
    path = model / _CONFIG
    if not path.is_file():
        raise ExportError(f"{model}: exists without {_CONFIG}; move it away, or name another repository")
    try:
        before = without_description(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: not text ({error}); move {model} away, or name another repository") from error
    for found, new in zip_longest(before, without_description(config), fillvalue="nothing"):
        if found != new:
            raise ExportError(
                f"{path}: differs from this export: it has {found.strip()!r}, this export {new.strip()!r}; a new "
                "version of a model must fit its configuration, so name another repository, or move this model away"
            )


def _place(
    options: TritonOptions,
    staged: Path,
    served: list[WrittenModel],
    additions: list[_Addition],
    last: Callable[[], None],
) -> list[str]:
    root = options.repository
    lines = []
    with Placing() as placing:
        with _failures_named(root):
            for addition in additions:
                model, source = root / addition.backend / addition.model, staged / addition.backend / addition.model
                placing.make_folder(model.parent)
                if model.exists():
                    placing.replace_text(model / _CONFIG, addition.config)
                    placing.move_folder(source / str(addition.version), model / str(addition.version))
                else:
                    placing.move_folder(source, model)
                lines.append(f"{model}  version {addition.version}, for Triton's {addition.backend} backend")
            placing.replace_text(root / "README.md", readme_text(options, served))
        last()
    for entry in served:
        if entry.plan is None:
            lines.append(f"{entry.name}: {entry.why_no_plan}")
            if (earlier := root / "tensorrt" / entry.name).exists():
                lines.append(f"{earlier} is from an earlier export and was not changed")
    return [*lines, f"{root / 'README.md'}  says how to run the server"]
