"""Versions of installed packages."""

import sys

import numpy as np

from mostnet.contract.versions import installed_versions


def test_versions_leave_out_what_is_not_installed() -> None:
    found = installed_versions(["numpy", "no-such-package"])
    assert found == {"python": sys.version.split()[0], "numpy": np.__version__}
