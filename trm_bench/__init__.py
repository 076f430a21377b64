"""trm-bench: a benchmark harness for recursive reasoners. This module is its public face.

Everything a plugin needs is importable from here or from `trm_bench.testing`; nothing else is promised to
stay. Importing it does not import torch: a model's parts and a report's are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .harness.api.augment import Augmentation, CellTokenVariants, Ints, NoAugmentation, Variants
from .harness.api.errors import DataError, TrmBenchError, UsageError
from .harness.api.hookspecs import hookimpl
from .harness.api.predictions import Predictions
from .harness.api.published import Published
from .harness.api.puzzles import PAD, Identities, PuzzleSet, Source, SourceFile, TaskData, TaskInfo, Tokens
from .harness.api.randomness import hashed, named_seed, permutations
from .harness.api.specs import (
    API_VERSION,
    AugmentationRequest,
    BuildRequest,
    EvaluatorSpec,
    ModelSpec,
    Puzzle,
    ReporterSpec,
    RuleCheck,
    Sample,
    Scale,
    StudySpec,
    SubmissionScore,
    TaskSpec,
)
from .harness.api.voting import Ballots

if TYPE_CHECKING:
    from .harness.api.reasoner import Halting, Output, Reasoner, State
    from .harness.report.table import Report, Row, SeedResult, Table

try:
    __version__ = version("trm-bench")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_HEAVY = {
    "Halting": ".harness.api.reasoner",
    "Output": ".harness.api.reasoner",
    "Reasoner": ".harness.api.reasoner",
    "Report": ".harness.report.table",
    "Row": ".harness.report.table",
    "SeedResult": ".harness.report.table",
    "State": ".harness.api.reasoner",
    "Table": ".harness.report.table",
}

__all__ = [
    "API_VERSION",
    "PAD",
    "Augmentation",
    "AugmentationRequest",
    "Ballots",
    "BuildRequest",
    "CellTokenVariants",
    "DataError",
    "EvaluatorSpec",
    "Halting",
    "Identities",
    "Ints",
    "ModelSpec",
    "NoAugmentation",
    "Output",
    "Predictions",
    "Published",
    "Puzzle",
    "PuzzleSet",
    "Reasoner",
    "Report",
    "ReporterSpec",
    "Row",
    "RuleCheck",
    "Sample",
    "Scale",
    "SeedResult",
    "Source",
    "SourceFile",
    "State",
    "StudySpec",
    "SubmissionScore",
    "Table",
    "TaskData",
    "TaskInfo",
    "TaskSpec",
    "Tokens",
    "TrmBenchError",
    "UsageError",
    "Variants",
    "__version__",
    "hashed",
    "hookimpl",
    "named_seed",
    "permutations",
]


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(importlib.import_module(_HEAVY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
