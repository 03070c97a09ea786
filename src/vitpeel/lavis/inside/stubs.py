"""Import single modules of LAVIS: its packages import every model and dataset it has, and what these need."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import warnings
from pathlib import Path


def install() -> None:
    """Put empty packages in the place of LAVIS's: its folders behind them, its base classes in them."""
    warnings.filterwarnings("ignore", category=FutureWarning)  # of old calls that still work
    found = importlib.util.find_spec("lavis")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("salesforce-lavis is not installed here")
    root = Path(found.submodule_search_locations[0])
    for name in ("", "models", "processors"):
        stub = types.ModuleType(".".join(("lavis", name)).rstrip("."))
        stub.__path__ = [str(root / name)]
        sys.modules[stub.__name__] = stub
    for package, module, base in (
        ("lavis.models", "lavis.models.base_model", "BaseModel"),
        ("lavis.processors", "lavis.processors.base_processor", "BaseProcessor"),
    ):
        setattr(sys.modules[package], base, getattr(importlib.import_module(module), base))
