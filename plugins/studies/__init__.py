"""The stock studies, each a YAML file beside this one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...harness.api.hookspecs import hookimpl
from ...harness.api.specs import StudySpec


@hookimpl
def trm_bench_register_studies() -> Iterable[StudySpec]:
    """Every file beside this module."""
    return [StudySpec(path.stem, path) for path in sorted(Path(__file__).parent.glob("*.yaml"))]
