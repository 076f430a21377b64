"""trm-bench: a benchmark harness for recursive reasoners. This module is its public face.

Everything a plugin needs is importable from here; nothing else is promised to stay. Importing
it does not import torch: `Reasoner`, `Output` and `Halting` are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .harness.augment import Augmentation, CellTokenVariants, NoAugmentation, Variants
from .harness.errors import DataError, TrmBenchError
from .harness.hookspecs import hookimpl
from .harness.predictions import Predictions
from .harness.puzzles import Identities, PuzzleSet, Source, SourceFile, TaskData, TaskInfo
from .harness.specs import (
    API_VERSION,
    AugmentationRequest,
    BuildRequest,
    EvaluatorSpec,
    ModelSpec,
    Obeys,
    Published,
    Question,
    ReporterSpec,
    Rescored,
    Sample,
    Scale,
    StudySpec,
    TaskSpec,
)
from .harness.voting import Ballots

if TYPE_CHECKING:
    from .harness.reasoner import Halting, Output, Reasoner, State

try:
    __version__ = version("trm-bench")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_NEEDS_TORCH = {
    "Halting": ".harness.reasoner",
    "Output": ".harness.reasoner",
    "Reasoner": ".harness.reasoner",
    "State": ".harness.reasoner",
}

__all__ = [
    "API_VERSION",
    "Augmentation",
    "AugmentationRequest",
    "Ballots",
    "BuildRequest",
    "CellTokenVariants",
    "DataError",
    "EvaluatorSpec",
    "Halting",
    "Identities",
    "ModelSpec",
    "NoAugmentation",
    "Obeys",
    "Output",
    "Predictions",
    "Published",
    "PuzzleSet",
    "Question",
    "Reasoner",
    "ReporterSpec",
    "Rescored",
    "Sample",
    "Scale",
    "Source",
    "SourceFile",
    "State",
    "StudySpec",
    "TaskData",
    "TaskInfo",
    "TaskSpec",
    "TrmBenchError",
    "Variants",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        return getattr(importlib.import_module(_NEEDS_TORCH[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
