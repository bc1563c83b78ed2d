"""Sphinx settings of ``make docs``. The root of the repository is the source folder, so that links in Markdown files
work on a code host and in the built pages.
"""

from typing import Any

from mostnet.contract.versions import mostnet_version as _mostnet_version

project = "mostnet"
author = "the mostnet authors"
version = release = _mostnet_version()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "api/weights/*.md",
    "bench/results/*/*.md",
]
exclude_patterns = [".*", "build", "demo"]

myst_heading_anchors = 3

autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "furo"
html_title = f"mostnet {release}"
html_show_sourcelink = False
html_copy_source = False


def setup(app: Any) -> None:
    """Protect the first line of a property's docstring: Napoleon reads ``a: b`` there as ``type: description``."""
    app.connect("autodoc-process-docstring", _shield_first_line, priority=400)  # Napoleon has 500


def _shield_first_line(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    if what in ("property", "attribute"):
        lines[:0] = ["..", ""]  # an empty comment
