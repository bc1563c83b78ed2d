"""The rows of an evaluation's table, and the figures that mean anything in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

from .scores import FrameScore, Scores, summarise

PICTURE_FIGURES = ("psnr_db", "fit_db", "ssim", "ssim_whole", "shade_mean_de00", "shade_p95_de00")
FLOW_FIGURES = ("epe_px", "motion_px", "slope")
MASK_FIGURES = ("iou", "iou_frame_mean")

#: The figures of each row, by the name of the row in tables and files, in the order of ``RowScores``. The baseline has
#: no slope, which would be zero, and the oracle no fit, which would be its own PSNR.
ROW_FIGURES = {
    "baseline": (*PICTURE_FIGURES, "epe_px", "motion_px", *MASK_FIGURES),
    "oracle colour": tuple(figure for figure in PICTURE_FIGURES if figure != "fit_db"),
    "DIS": FLOW_FIGURES,
    "model": (*PICTURE_FIGURES, *FLOW_FIGURES, *MASK_FIGURES),
    "clean input": (*PICTURE_FIGURES, *FLOW_FIGURES, *MASK_FIGURES),
}


@dataclass(frozen=True)
class RowScores:
    """Scores for each row of the table, over the same frames of one or more sequences in the same order.

    Attributes:
        baseline: the input frame as it is.
        oracle: the input frame in its best colours.
        dis: optical flow by OpenCV.
        model: the model.
        clean: the model with the reference frames as its input, and scores of nothing without a reference.
    """

    baseline: tuple[FrameScore, ...]
    oracle: tuple[FrameScore, ...]
    dis: tuple[FrameScore, ...]
    model: tuple[FrameScore, ...]
    clean: tuple[FrameScore, ...]

    def summary(self) -> dict[str, Scores]:
        """The figures of each row, by its name; None for a figure without a label, or one that is not of the row."""
        scores = zip(ROW_FIGURES.items(), self._rows(), strict=True)
        return {name: _only(summarise(frames), figures) for (name, figures), frames in scores}

    def only(self, index: int) -> RowScores:
        """Frame ``index`` alone; empty if there are fewer frames."""
        return RowScores(*(row[index : index + 1] for row in self._rows()))

    @staticmethod
    def joined(parts: Sequence[RowScores]) -> RowScores:
        """All frames of all parts."""
        return RowScores(*(tuple(chain.from_iterable(rows)) for rows in zip(*(p._rows() for p in parts), strict=True)))

    def _rows(self) -> list[tuple[FrameScore, ...]]:
        return [getattr(self, field.name) for field in fields(self)]


def _only(scores: Scores, figures: Sequence[str]) -> Scores:
    return replace(scores, **{field.name: None for field in fields(scores) if field.name not in figures})
