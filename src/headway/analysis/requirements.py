"""The libraries that only analysis needs: imported where they are used, and missed with a clear word."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str) -> ModuleType:
    """Import a module of the ``analysis`` extra.

    Raises
    ------
    ImportError
        When it is not installed; the message says how to install it.
    """
    library = module.partition(".")[0]
    try:
        import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ImportError(
            f"headway.analysis needs {library}, which is not installed; run: pip install 'headway[analysis]'",
            name=library,
        ) from error
    return import_module(module)
