"""Training and evaluation of the network, and synthetic data for both.

``data`` reads data sets, ``synth`` and ``photos`` write them, ``evaluation`` measures models, and the modules here
train. Of these modules, the sub-packages import only ``ablations`` and ``extras``, which import nothing from this
package.

Modules are imported only when a name is used, so that ``import mostnet.training`` needs no PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mostnet.contract.cores import limit_spinning
from mostnet.contract.extras import extras_named
from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from .evaluation.options import EvalOptions
    from .evaluation.run import EvalResult, evaluate
    from .options import TrainOptions
    from .photos.clips import PhotoOptions
    from .photos.files import write_moving, write_still
    from .run import train
    from .synth.files import write_split
    from .synth.sequence import SynthOptions
    from .trainer import TrainingInterrupt, TrainResult

__all__ = [
    "EvalOptions",
    "EvalResult",
    "PhotoOptions",
    "SynthOptions",
    "TrainOptions",
    "TrainResult",
    "TrainingInterrupt",
    "evaluate",
    "train",
    "write_moving",
    "write_split",
    "write_still",
]

_named = lazy_names(
    __name__,
    {
        "EvalOptions": "evaluation.options",
        "EvalResult": "evaluation.run",
        "PhotoOptions": "photos.clips",
        "SynthOptions": "synth.sequence",
        "TrainOptions": "options",
        "TrainResult": "trainer",
        "TrainingInterrupt": "trainer",
        "evaluate": "evaluation.run",
        "train": "run",
        "write_moving": "photos.files",
        "write_split": "synth.files",
        "write_still": "photos.files",
    },
)


def __getattr__(name: str) -> Any:
    limit_spinning()
    with extras_named("train"):
        return _named(name)
