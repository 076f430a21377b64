"""trm-bench: a benchmark harness for recursive reasoners. This module is its public face.

Import what a plugin needs from here, from `trm_bench.nn` or from `trm_bench.testing`; nothing else
is promised to stay. Importing it imports neither torch nor pandas: they are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .harness.api.augment import Augmentation, CellTokenTransforms, Ints, NoAugmentation, Transforms
from .harness.api.budget import Ledger
from .harness.api.errors import DataError, NothingToReport, TrmBenchError, UnavailableError, UsageError
from .harness.api.hookspecs import hookimpl
from .harness.api.predictions import Predictions
from .harness.api.published import Published
from .harness.api.puzzles import PAD, Identities, PuzzleSet, Source, SourceFile, TaskData, TaskInfo, Tokens
from .harness.api.randomness import hashed, named_seed, permutations
from .harness.api.runners import JobState, Phase, QueuedWork, RunnerSpec
from .harness.api.specs import (
    API_VERSION,
    AugmentationRequest,
    BuildRequest,
    EvaluatorSpec,
    ModelSpec,
    Progress,
    Puzzle,
    ReferenceNames,
    ReporterSpec,
    RuleCheck,
    Sample,
    Scale,
    StudySpec,
    SubmissionScore,
    TaskSpec,
    no_progress,
)
from .harness.api.voting import Ballots
from .harness.nn.config import BlockConfig

if TYPE_CHECKING:
    from .harness.api.reasoner import Halting, Output, Reasoner, State
    from .harness.python.api import compare, evaluate, load_results, resume, run
    from .harness.python.citations import cite
    from .harness.python.measure import measure_speed
    from .harness.python.results import Results
    from .harness.python.status import RunStatus, cancel, plan, run_one, status
    from .harness.python.tune import Tuning, tune
    from .harness.python.verbs import export, open_model, parse_puzzles, prepare, score, solve
    from .harness.python.verify import Verification, verify
    from .harness.report.table import Pair, Report, Row, SeedResult, StudyAnswers, Table
    from .harness.report.words import sentences
    from .harness.stats.tests import Verdict
    from .trm.config import RecursionConfig
    from .trm.model import TRM

try:
    __version__ = version("trm-bench")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_LAZY = {
    "Halting": "api.reasoner",
    "Output": "api.reasoner",
    "Pair": "report.table",
    "Reasoner": "api.reasoner",
    "Report": "report.table",
    "Results": "python.results",
    "Row": "report.table",
    "RunStatus": "python.status",
    "SeedResult": "report.table",
    "State": "api.reasoner",
    "StudyAnswers": "report.table",
    "Table": "report.table",
    "Tuning": "python.tune",
    "Verdict": "stats.tests",
    "Verification": "python.verify",
    "cancel": "python.status",
    "cite": "python.citations",
    "compare": "python.api",
    "evaluate": "python.api",
    "export": "python.verbs",
    "load_results": "python.api",
    "measure_speed": "python.measure",
    "open_model": "python.verbs",
    "parse_puzzles": "python.verbs",
    "plan": "python.status",
    "prepare": "python.verbs",
    "resume": "python.api",
    "run": "python.api",
    "run_one": "python.status",
    "score": "python.verbs",
    "sentences": "report.words",
    "solve": "python.verbs",
    "status": "python.status",
    "tune": "python.tune",
    "verify": "python.verify",
}
"""Names that need torch, scipy or pandas, and the module of `trm_bench.harness` that has each."""
_TRM = {"RecursionConfig": "config", "TRM": "model"}
"""Names of the model to subclass, and the module of `trm_bench.trm` that has each."""

__all__ = [
    "API_VERSION",
    "PAD",
    "TRM",
    "Augmentation",
    "AugmentationRequest",
    "Ballots",
    "BlockConfig",
    "BuildRequest",
    "CellTokenTransforms",
    "DataError",
    "EvaluatorSpec",
    "Halting",
    "Identities",
    "Ints",
    "JobState",
    "Ledger",
    "ModelSpec",
    "NoAugmentation",
    "NothingToReport",
    "Output",
    "Pair",
    "Phase",
    "Predictions",
    "Progress",
    "Published",
    "Puzzle",
    "PuzzleSet",
    "QueuedWork",
    "Reasoner",
    "RecursionConfig",
    "ReferenceNames",
    "Report",
    "ReporterSpec",
    "Results",
    "Row",
    "RuleCheck",
    "RunStatus",
    "RunnerSpec",
    "Sample",
    "Scale",
    "SeedResult",
    "Source",
    "SourceFile",
    "State",
    "StudyAnswers",
    "StudySpec",
    "SubmissionScore",
    "Table",
    "TaskData",
    "TaskInfo",
    "TaskSpec",
    "Tokens",
    "Transforms",
    "TrmBenchError",
    "Tuning",
    "UnavailableError",
    "UsageError",
    "Verdict",
    "Verification",
    "__version__",
    "cancel",
    "cite",
    "compare",
    "evaluate",
    "export",
    "hashed",
    "hookimpl",
    "load_results",
    "measure_speed",
    "named_seed",
    "no_progress",
    "open_model",
    "parse_puzzles",
    "permutations",
    "plan",
    "prepare",
    "resume",
    "run",
    "run_one",
    "score",
    "sentences",
    "solve",
    "status",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".harness.{_LAZY[name]}", __name__), name)
    if name in _TRM:
        return getattr(importlib.import_module(f".trm.{_TRM[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
