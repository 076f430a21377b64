"""A spec whose fields are not what they say is refused when it is registered, by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.distributions import HOOKIMPL, Install, everything, model_plugin
from support.models import BUILT_IN
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.api.specs import EvaluatorSpec, ModelSpec, ReporterSpec, StudySpec
from trm_bench.harness.host.checks import check_spec


def nothing(*_: Any) -> Any:
    raise NotImplementedError


GOOD = [
    ModelSpec("good", "a model"),
    EvaluatorSpec("pass@2", "a score", nothing),
    ReporterSpec("good", "a report", nothing),
    StudySpec("good", "a study", Path("study.yaml")),
]


@pytest.mark.parametrize("kind", ["models", "tasks", "evaluators", "reporters", "studies"])
def test_every_spec_of_ours_passes(kind: str) -> None:
    for part in getattr(BUILT_IN, kind).parts:
        check_spec(part.spec)


@pytest.mark.parametrize("spec", GOOD)
@pytest.mark.parametrize(
    "name", [None, 3, "", "a b", "a[b]", "a,b", "a=b", "a:b", "../a", "-a", "a\x1b[m", "a\u202eb", "a" * 101]
)  # fmt: skip
def test_a_name_that_could_not_be_typed_or_printed_is_refused(spec: Any, name: Any) -> None:
    check_spec(spec)
    with pytest.raises(TrmBenchError, match=rf"^{type(spec).__name__}: name="):
        check_spec(replace(spec, name=name))


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("models", {"summary": None}, "summary=None: must be text"),
    ("models", {"build": 3}, "build=3: must be a function"),
    ("models", {"config": dict}, "a class of pydantic's BaseModel"),
    ("models", {"recipes": "recipes.yaml"}, "must be a pathlib.Path"),
    ("models", {"trained": "no"}, "must be True or False"),
    ("models", {"aliases": {"a": 1}}, "must be a mapping"),
    ("models", {"api_version": 1}, "api_version=1: must be text"),
    ("tasks", {"version": "1"}, "version='1': must be a whole number"),
    ("tasks", {"scales": {}}, "scales="),
    ("tasks", {"scales": {"mini": None}}, "scales="),
    ("tasks", {"evaluators": "exact"}, "evaluators='exact': must be a tuple"),
    ("tasks", {"build": None}, "build=None: must be a function"),
    ("evaluators", {"tasks": ("a", 1)}, "tasks="),
    ("reporters", {"render": "x"}, "render='x': must be a function"),
]


@pytest.mark.parametrize(("kind", "changed", "message"), WRONG)
def test_a_field_of_another_type_is_named(kind: str, changed: dict[str, Any], message: str) -> None:
    part = getattr(BUILT_IN, kind).parts[0]
    with pytest.raises(TrmBenchError, match=re.escape(message)):
        check_spec(replace(part.spec, **changed))


def test_the_plugin_of_a_wrong_spec_is_named_and_the_others_work(install: Install) -> None:
    install("good", model_plugin("works"))
    source = "from trm_bench import ModelSpec\n" + HOOKIMPL
    install("bad", source + "@hookimpl\ndef trm_bench_register_models(): return [ModelSpec(None, 'a model')]")
    host = everything()
    assert "works" in host.models.names()
    (problem,) = host.problems()
    assert problem.startswith("bad:plug: TrmBenchError: ModelSpec: name=None: must be text")
