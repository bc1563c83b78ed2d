"""The figures of an evaluation as two tables: the pictures, and the flow and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .shade import JUST_ACCEPTED_DE00, JUST_SEEN_DE00

#: The figures of one row, by their names in ``Scores``.
Figures = Mapping[str, float | None]

SHADE_NOTE = (
    "Tooth shade: CIEDE2000 difference (dE00) from the reference on the tooth pixels. Half of the observers see "
    f"{JUST_SEEN_DE00} and half accept {JUST_ACCEPTED_DE00} (Paravina et al. 2015; ISO/TR 28642)."
)


@dataclass(frozen=True)
class FigureTable:
    """Rows and columns of a table.

    Attributes:
        rows: names of its rows, as in ``ROW_FIGURES``.
        columns: for each column, its header, the figure in it, and the number of decimals.
    """

    rows: tuple[str, ...]
    columns: tuple[tuple[str, str, int], ...]

    def header(self) -> list[str]:
        """The headers of all columns."""
        return ["method", *(header for header, _, _ in self.columns)]

    def cells(self, rows: Mapping[str, Figures], model: str) -> dict[str, list[str]]:
        """The cells of each row; ``model`` is the name of the model in them."""
        names = {"model": model, "clean input": f"{model}, clean input"}
        return {
            row: [names.get(row, row), *(cell(rows[row][figure], digits) for _, figure, digits in self.columns)]
            for row in self.rows
        }


PICTURES = FigureTable(
    ("baseline", "oracle colour", "model", "clean input"),
    (
        ("PSNR dB", "psnr_db", 2),
        ("fit dB", "fit_db", 2),
        ("SSIM", "ssim", 3),
        ("shade dE00, mean", "shade_mean_de00", 2),
        ("shade dE00, 95 %", "shade_p95_de00", 2),
    ),
)
MOTION_AND_MASKS = FigureTable(
    ("baseline", "DIS", "model", "clean input"),
    (
        ("EPE px", "epe_px", 2),
        ("tooth motion px", "motion_px", 2),
        ("slope", "slope", 3),
        ("IoU", "iou", 3),
        ("IoU per frame", "iou_frame_mean", 3),
    ),
)

TABLE_I = FigureTable(
    ("baseline", "oracle colour", "DIS", "model", "clean input"),
    (("PSNR dB", "psnr_db", 2), ("SSIM", "ssim_whole", 3), ("EPE px", "epe_px", 2), ("IoU", "iou_frame_mean", 3)),
)


@dataclass(frozen=True)
class Convention:
    """A way to count.

    Attributes:
        tables: the tables that show it; the last one also holds size and speed.
        note: what it counts, for people.
    """

    tables: tuple[FigureTable, ...]
    note: str


#: ``source`` counts as Table I of the talk that ``mostnet.model`` follows.
CONVENTIONS = {
    "ours": Convention(
        (PICTURES, MOTION_AND_MASKS),
        "Convention: ours. IoU is over all pixels of all frames; IoU per frame is the source's, the mean over frames. "
        "PSNR and SSIM are means over frames, SSIM without the edges of the picture. EPE is over all known pixels.",
    ),
    "source": Convention(
        (TABLE_I,),
        "Convention: source. IoU is the mean over frames. PSNR and SSIM are those of torchmetrics, means over frames "
        "of clipped pictures, SSIM with their edges. EPE is over all known pixels.",
    ),
}


def cell(value: float | None, digits: int) -> str:
    """A figure of a table; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are figures."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
