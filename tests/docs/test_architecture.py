"""The picture of folders and arrows shows the imports that are allowed."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_is_the_one_that_the_script_draws() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    assert (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8") == script["svg"](), (
        "run python docs/draw_architecture.py"
    )
