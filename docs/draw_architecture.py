"""Draws ``docs/architecture.svg`` from the table of allowed imports: ``python docs/draw_architecture.py``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.test_layering import ALLOWED  # noqa: E402

PICTURE = ROOT / "docs" / "architecture.svg"

WIDTH, HEIGHT = 900, 640
BOX_W, BOX_H = 212, 58
#: Centre of each folder's box, and what the folder holds.
BOXES = {
    "bench": (590, 50, "measuring, demo, GPU report"),
    "export": (450, 155, "checkpoint to ONNX and plan"),
    "calibration": (290, 260, "ranges, INT8 graphs"),
    "training": (730, 260, "data, scenes, losses, scores"),
    "serve": (120, 260, "archives, Triton cameras"),
    "api": (120, 365, "public names, weights"),
    "video": (390, 365, "files, cameras, stabiliser"),
    "engine": (270, 470, "sessions, ring, backends"),
    "model": (680, 470, "the network in PyTorch"),
    "contract": (450, 585, "tensors, metadata, errors"),
}


def arrows() -> Iterator[tuple[str, str]]:
    """Pairs (importing folder, imported folder), without those that a chain of other pairs implies."""
    for folder, allowed in ALLOWED.items():
        implied = {name for other in allowed for name in _reachable(other)}
        yield from ((folder, name) for name in sorted(allowed - implied))


def _reachable(folder: str) -> set[str]:
    return ALLOWED[folder].union(*(_reachable(name) for name in ALLOWED[folder]))


def svg() -> str:
    """The picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" role="img">',
        "<title>The folders of mostnet and who imports whom</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L10 5L0 10z" fill="#456"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
        *(_arrow(*pair) for pair in arrows()),
        *(_box(name) for name in ALLOWED),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrow(upper: str, lower: str) -> str:
    x1, y1, _ = BOXES[upper]
    x2, y2, _ = BOXES[lower]
    return (
        f'<line x1="{x1}" y1="{y1 + BOX_H // 2}" x2="{x2}" y2="{y2 - BOX_H // 2 - 2}" '
        'stroke="#456" stroke-width="1.6" marker-end="url(#tip)"/>'
    )


def _box(name: str) -> str:
    x, y, holds = BOXES[name]
    return (
        f'<g text-anchor="middle"><rect x="{x - BOX_W // 2}" y="{y - BOX_H // 2}" width="{BOX_W}" height="{BOX_H}" '
        f'rx="6" fill="#eef4fa" stroke="#456"/><text x="{x}" y="{y - 5}" font-size="17" font-weight="bold">{name}/'
        f'</text><text x="{x}" y="{y + 16}" font-size="13" fill="#333">{holds}</text></g>'
    )


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
