"""Plot the motion paths of videos."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mostnet.contract import BackendNotInstalledError, write_bytes
from mostnet.contract.terminal import drawn

from .metrics import Path2d


def plot_paths(paths: Mapping[str, Path2d], output: Path, *, title: str = "motion of the picture's content") -> None:
    """Write a PNG atomically that shows x, y and angle of each ``(N, 3)`` path over the frames.

    Raises:
        BackendNotInstalledError: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise BackendNotInstalledError("a plot needs matplotlib: pip install 'mostnet[plot]', or leave --plot out")
    from matplotlib.figure import Figure  # without pyplot: no window system, no state kept between calls

    figure = Figure(figsize=(9, 7), layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(3, 1, sharex=True)
    for column, (axis, label) in enumerate(zip(axes, ("x, px", "y, px", "angle, deg"), strict=True)):
        for name, path in paths.items():
            values = np.degrees(path[:, 2]) if column == 2 else path[:, column]
            axis.plot(values, label=drawn(name), linewidth=1.1)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    axes[-1].set_xlabel("frame")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    write_bytes(output, png.getvalue())
