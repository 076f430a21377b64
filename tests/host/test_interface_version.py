"""Plugins that are made for another version of the interface than this one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from support.distributions import BUILT_IN, Install, everything, model_plugin, only, own_parts
from trm_bench.harness.api.specs import API_VERSION
from trm_bench.harness.planning.planner import plan
from trm_bench.harness.planning.request import Request
from trm_bench.testing.pytest_plugin import RunCli

KINDS = {
    "models": "ModelSpec('late', 'a model', config=Config, build=build, api_version={version!r})",
    "tasks": "TaskSpec('late', 'task', 1, {{'mini': Scale('mini', '', 1, 1, 1)}}, build, build, ('exact',), "
    "'', api_version={version!r})",
    "evaluators": "EvaluatorSpec('late', 'a score', evaluate=build, api_version={version!r})",
    "reporters": "ReporterSpec('late', 'a report', render=build, api_version={version!r})",
    "studies": "StudySpec('late', 'late', Path('late.yaml'), api_version={version!r})",
}


def made_for(version: str, kinds: Sequence[str]) -> str:
    """The source of a plugin with a spec of each of these kinds, for a version of the interface."""
    lines = ["from pathlib import Path", "from pydantic import BaseModel", "from trm_bench import *"]
    lines += ["class Config(BaseModel): pass", "def build(*given): return Reasoner()"]
    for kind in kinds:
        lines += [
            "@hookimpl",
            f"def trm_bench_register_{kind}(): return [{KINDS[kind].format(version=version)}]",
        ]
    return "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_for_another_interface_is_left_out_with_both_versions_named(
    kind: str, install: Install
) -> None:
    install("aaa-good", model_plugin("works"))
    install("late-lab", made_for("2.0", [kind]))
    install("zzz-good", model_plugin("works-too"))
    plugins = everything()
    error = plugins.plugins["late-lab:plug"].error or ""
    assert "2.0" in error
    assert API_VERSION in error
    assert "'late'" in error
    assert [problem.partition(": ")[0] for problem in plugins.problems()] == ["late-lab:plug"]
    assert "late" not in getattr(plugins, kind).names()
    assert {"works", "works-too"} <= set(plugins.models.names())
    assert own_parts(plugins) == BUILT_IN


@pytest.mark.parametrize("version", ["0.9", "2", "10.0", "1x.0", ""])
def test_only_the_first_number_has_to_be_ours(version: str, install: Install) -> None:
    install("late-lab", made_for(version, ["models"]))
    assert "is made for version" in (only("late-lab").plugins["late-lab:plug"].error or "")


def test_a_spec_that_may_use_more_than_there_is_is_accepted_and_recorded(install: Install) -> None:
    install("new-lab", made_for("1.7", list(KINDS)))
    plugins = everything()
    assert plugins.plugins["new-lab:plug"].error is None
    assert all("late" in getattr(plugins, kind).names() for kind in KINDS)
    request = Request(models=("late",), task="tiny", scale="mini", seeds=(0,))
    (run,) = plan(plugins, request).runs
    versions = dict(run.description.api_versions)
    assert versions.pop("new-lab:late") == "1.7"
    assert set(versions.values()) == {API_VERSION}


def test_the_command_line_names_a_plugin_for_another_interface_and_goes_on(
    install: Install, run_cli: RunCli
) -> None:
    install("late-lab", made_for("2.0", ["models"]))
    ended = run_cli("plugins", "--check")
    assert ended.code == 1
    assert re.search(
        rf"^problem: late-lab:plug: .*2\.0.*{re.escape(API_VERSION)}", ended.out, flags=re.MULTILINE
    )
    listed = run_cli("list")
    assert listed.code == 0
    assert "  late " not in listed.out
