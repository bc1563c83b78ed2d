"""Libraries of other people that some baselines are made of. They are imported when such a network is built."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from mostnet.contract import BackendNotInstalledError

#: What the import of a library raises that was built for another PyTorch, besides ``ImportError``.
_MISFITS = (ImportError, OSError, RuntimeError, AttributeError)


def load_table1(name: str) -> Any:
    """Import a module of torchvision or segmentation_models_pytorch.

    Raises:
        BackendNotInstalledError: the library or one that it needs is not installed, or does not fit torch.
    """
    library = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or library
        if "." not in missing:
            raise BackendNotInstalledError(f"{missing} is not installed; pip install 'mostnet[table1]'") from error
        raise _misfit(library, error) from error
    except _MISFITS as error:
        raise _misfit(library, error) from error


def _misfit(library: str, error: Exception) -> BackendNotInstalledError:
    cause = " ".join(str(error).split())[:120]
    return BackendNotInstalledError(
        f"{library} does not fit the installed torch {torch.__version__} ({cause}); "
        "`make table1` makes an environment that has both"
    )
