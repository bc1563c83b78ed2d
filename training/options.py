"""The options of a training run, from flags or a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict

from mostnet.contract import MIN_SIDE, TrainingError
from mostnet.model import STRIDES, VARIANTS
from mostnet.model.table1 import TRAINABLE
from mostnet.training.data.dataset import TASKS

from .extras import load_extra

#: Name of our own network among those that can be trained.
MOSTNET = "mostnet"
#: Folder of the YAML files that are installed with the package.
RECIPES = Path(__file__).parent / "recipes"
#: Share of the steps over which the learning rate rises if ``warmup`` would outlast them.
SHORT_WARM_UP = 0.1


@dataclass(frozen=True)
class TrainOptions:
    """Options of one run. Every field is also a flag and a key of the YAML file.

    Attributes:
        network: ``mostnet``, or of Table I ``flownet``, ``raft``, ``mimo-unet``, ``estrnn``, ``unet++``,
            ``deeplabv3+``.
        variant: variant of ``mostnet``.
        steps: optimiser steps of the whole run.
        epochs: length of the run in place of ``steps``, if not 0. An epoch draws as many frames from the training split
            as it has; chance decides which, and repeats do not count. If all clips are photographs, it draws as many
            clips as there are photographs. The run turns it into steps.
        max_minutes: wall-clock budget; the schedule ends with it or with ``steps``, whichever is earlier. 0: no budget.
        batch: clips per step.
        clip: frames per step, through which gradients flow.
        chunks: steps on one window of ``clip * chunks`` frames, with the state carried from each to the next.
        frame_step: take every N-th frame of the data set; flow labels are joined.
        crop_hw: height and width of a clip.
        scale_min: least magnification.
        scale_max: greatest magnification.
        lr: greatest learning rate.
        warmup: steps over which the learning rate rises from zero. It rises over a tenth of ``steps`` if ``warmup`` is
            not smaller than ``steps``, and over a quarter of ``max_minutes`` at most.
        final_lr: fraction of ``lr`` that is left at the end of the cosine.
        weight_decay: weight decay of AdamW, on convolution kernels.
        clip_norm: greatest norm of the gradient.
        ema: decay of the averaged weights.
        amp: precision of the network: ``off``, ``bf16`` or ``fp16`` (CUDA only); losses are float32.
        channels_last: use the channels-last memory layout.
        compile: run the network through ``torch.compile``.
        cuda_graph: replay every step of the network as a CUDA graph, which is faster for small networks.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads of PyTorch; 0 takes as many as other processes leave cores free, also later in the run, but
            with ``compile`` only at its start. Another number gives slightly other weights, so only a fixed one, in a
            run without ``max_minutes``, gives the same weights again.
        workers: processes that read clips; 0 reads in the training process.
        cache: ``ram`` decodes the whole training split before the first step, ``none`` reads frames on demand.
        repeats: times that each batch is used, mirrored in another way each time; 1 to 4.
        photo_share: fraction of every batch that is made of moving photographs, if there are any.
        seed: seed of weights, clips and augmentation.
        tasks: tasks that are trained.
        losses: ``ours``, or ``source``, those of the method's source; networks of Table I have their own.
        w_enhance: weight of the enhancement loss; a network of Table I with one task has the weight 1.
        w_flow: weight of the flow loss.
        w_mask: weight of the mask loss.
        learned_weights: learn the weights of the tasks from their uncertainty.
        recurrence: carry the state; without it, every frame starts from zero state.
        alignment: warp the previous features by the flow; without it, they are fused unwarped.
        overfit: train on the first N sequences without augmentation; 0 trains on the whole split.
        validate_every: steps between validations; 0 turns validation off.
        val_sequences: sequences of the ``val`` split to validate on.
        val_frames: frames to validate on in each sequence.
        save_every: steps between saves of the training state.
        log_every: steps between lines of the log.
        tensorboard: also write event files for TensorBoard, into the folder ``tensorboard`` of the run.
    """

    network: str = MOSTNET
    variant: str = "nano"
    steps: int = 20000
    epochs: int = 0
    max_minutes: float = 0.0
    batch: int = 4
    clip: int = 6
    chunks: int = 2
    frame_step: int = 1
    crop_hw: tuple[int, int] = (192, 256)
    scale_min: float = 0.7
    scale_max: float = 1.4
    lr: float = 1e-3
    warmup: int = 200
    final_lr: float = 0.01
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    ema: float = 0.999
    amp: str = "off"
    channels_last: bool = False
    compile: bool = False
    cuda_graph: bool = False
    device: str = "auto"
    threads: int = 0
    workers: int = 0
    cache: str = "none"
    repeats: int = 1
    photo_share: float = 0.75
    seed: int = 0
    tasks: tuple[str, ...] = TASKS
    losses: str = "ours"
    w_enhance: float = 1.0
    w_flow: float = 0.02
    w_mask: float = 0.1
    learned_weights: bool = False
    recurrence: bool = True
    alignment: bool = True
    overfit: int = 0
    validate_every: int = 500
    val_sequences: int = 4
    val_frames: int = 24
    save_every: int = 200
    log_every: int = 20
    tensorboard: bool = False

    @property
    def warm_up_steps(self) -> int:
        """Steps of the warm-up: ``warmup``, or the share ``SHORT_WARM_UP`` of a run of no more steps than that."""
        return self.warmup if self.warmup < self.steps else int(SHORT_WARM_UP * self.steps)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise TrainingError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise TrainingError(f"{name} is {getattr(self, name)}; expected at least {least}")
        for name in ("scale_max", "lr", "clip_norm"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"{name} is {getattr(self, name)}; expected a number above 0")
        if self.repeats > 4:
            raise TrainingError(f"repeats is {self.repeats}; a batch can be turned in 4 ways at most")
        if not 0 <= self.ema < 1:
            raise TrainingError(f"ema is {self.ema}; expected a decay of at least 0 and below 1")
        if not 0 <= self.photo_share <= 1:
            raise TrainingError(f"photo_share is {self.photo_share}; expected a fraction of 0 to 1")
        if not 0 < self.scale_min <= self.scale_max:
            raise TrainingError(f"scale_min is {self.scale_min}; expected above 0 and at most {self.scale_max}")
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            raise TrainingError(
                f"tasks are {', '.join(self.tasks) or 'none'}; expected one or more of {', '.join(TASKS)}"
            )
        if self.network != MOSTNET:
            self._check_baseline()
        if any(side < MIN_SIDE or side % STRIDES[-1] for side in self.crop_hw):
            raise TrainingError(
                f"crop is {self.crop_hw[0]}x{self.crop_hw[1]}; expected multiples of {STRIDES[-1]} from {MIN_SIDE}"
            )

    def _check_baseline(self) -> None:
        """Refuse options that only MOST-NET+ has."""
        for name in ("alignment", "recurrence", "losses", "cuda_graph", "learned_weights"):
            if getattr(self, name) != getattr(TrainOptions, name):
                raise TrainingError(
                    f"{name} is {getattr(self, name)}, but network {self.network} has no choice; leave it at "
                    f"{getattr(TrainOptions, name)}"
                )
        if self.network == "deeplabv3+" and self.batch == 1:
            raise TrainingError("batch is 1, but network deeplabv3+ normalises over the batch; expected at least 2")

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values, for a YAML file or a checkpoint."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def updated(self, values: Mapping[str, Any], *, source: str) -> TrainOptions:
        """A copy with other values; error messages name their ``source``.

        Raises:
            TrainingError: an unknown name, or a value of the wrong type or out of range.
        """
        kinds = {field.name: type(getattr(TrainOptions, field.name)) for field in fields(TrainOptions)}
        unknown = sorted(str(name) for name in values if name not in kinds)
        if unknown:
            close = get_close_matches(unknown[0].lstrip("-").replace("-", "_"), kinds, n=1)
            advice = f"did you mean {close[0]}?" if close else f"known are {', '.join(kinds)}"
            raise TrainingError(f"{source}: unknown option {unknown[0]!r}; {advice}")
        if values.get("steps") is not None and values.get("epochs"):
            raise TrainingError(f"{source}: both steps and epochs; each is the length of the run, so drop one of them")
        if "steps" in values:
            values = {"epochs": 0, **values}  # the later choice goes first
        try:
            return replace(self, **{name: _converted(name, value, kinds[name]) for name, value in values.items()})
        except TrainingError as error:
            raise TrainingError(f"{source}: {error}") from error

    @staticmethod
    def values_from_yaml(path: Path, recipe: str | None = None) -> dict[str, Any]:
        """The options that a YAML file sets, unchecked.

        Args:
            path: the file; a name without folder may be that of a file in ``training/recipes``.
            recipe: name of one of the recipes of the file; None if it has no recipes.

        Raises:
            TrainingError: no such file, not YAML, or not a mapping; no such recipe, or none chosen.
        """
        path = _recipe_file(path)
        yaml = load_extra("yaml")
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise TrainingError(f"{path}: cannot be read ({error.strerror})") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise TrainingError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
        if not isinstance(values, dict):
            raise TrainingError(f"{path}: holds {type(values).__name__}, expected one `option: value` per line")
        return _chosen(values, recipe, path)


class TrainKeywords(TypedDict, total=False):
    """The fields of ``TrainOptions`` as keyword arguments of ``mostnet.training.train``."""

    network: str
    variant: str
    steps: int
    epochs: int
    max_minutes: float
    batch: int
    clip: int
    chunks: int
    frame_step: int
    crop_hw: tuple[int, int]
    scale_min: float
    scale_max: float
    lr: float
    warmup: int
    final_lr: float
    weight_decay: float
    clip_norm: float
    ema: float
    amp: str
    channels_last: bool
    compile: bool
    cuda_graph: bool
    device: str
    threads: int
    workers: int
    cache: str
    repeats: int
    photo_share: float
    seed: int
    tasks: tuple[str, ...]
    losses: str
    w_enhance: float
    w_flow: float
    w_mask: float
    learned_weights: bool
    recurrence: bool
    alignment: bool
    overfit: int
    validate_every: int
    val_sequences: int
    val_frames: int
    save_every: int
    log_every: int
    tensorboard: bool


def _recipe_file(path: Path) -> Path:
    shipped = RECIPES / path.name
    return shipped if not path.exists() and path.name == str(path) and shipped.is_file() else path


def _chosen(values: dict[str, Any], recipe: str | None, path: Path) -> dict[str, Any]:
    """The options of one recipe, or the values themselves if they are options."""
    recipes = {str(name): part for name, part in values.items() if isinstance(part, dict)}
    if not recipes or len(recipes) < len(values):
        if recipe is not None:
            raise TrainingError(f"{path}: has no recipes to choose from; drop --recipe {recipe}")
        return values
    if recipe not in recipes:
        found = "" if recipe is None else f"no recipe {recipe!r}; "
        raise TrainingError(f"{path}: {found}choose one with --recipe: {', '.join(recipes)}")
    return recipes[recipe]


_CHOICES = {
    "network": (MOSTNET, *TRAINABLE),
    "losses": ("ours", "source"),
    "variant": tuple(VARIANTS),
    "amp": ("off", "bf16", "fp16"),
    "device": ("auto", "cpu", "cuda"),
    "cache": ("none", "ram"),
}
_LEAST: dict[str, float] = {
    **dict.fromkeys(
        (
            "steps",
            "batch",
            "clip",
            "chunks",
            "frame_step",
            "repeats",
            "save_every",
            "log_every",
            "val_sequences",
            "val_frames",
        ),
        1,
    ),
    **dict.fromkeys(
        ("epochs", "max_minutes", "warmup", "final_lr", "weight_decay", "threads", "workers", "seed", "overfit"), 0
    ),
    **dict.fromkeys(("validate_every", "w_enhance", "w_flow", "w_mask"), 0),
}


def _converted(name: str, value: Any, kind: type) -> Any:
    if kind is tuple:
        inner = int if name == "crop_hw" else str
        is_list = isinstance(value, (list, tuple)) and all(type(item) is inner for item in value)
        if is_list and (name != "crop_hw" or len(value) == 2):
            return tuple(value)
        raise TrainingError(
            f"{name} is {value!r}; expected a list of {'two whole numbers' if inner is int else 'names'}"
        )
    if value is False and "off" in _CHOICES.get(name, ()):
        return "off"  # YAML 1.1 reads a bare off as false
    if kind is float and type(value) is int:
        return float(value)
    if kind is float and isinstance(value, str):
        try:  # YAML 1.1 reads 1e-3, without a dot, as text
            return float(value)
        except ValueError:
            pass
    if type(value) is not kind:
        raise TrainingError(f"{name} is {value!r}; expected {kind.__name__}")
    return value
