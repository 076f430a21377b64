"""Hooks: notifications never harm a run, and every documented example works."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent

import click
import numpy as np
import pytest
from click.testing import CliRunner
from support.distributions import EMPTY_REPORT, HOOKIMPL, HOOKS, Install, example, only
from trm_bench.harness.host.host import Host
from trm_bench.harness.report.table import Report
from trm_bench.testing.reporters import sample_report

import trm_bench
from trm_bench import AugmentationRequest, BuildRequest, Predictions, PuzzleSet, TaskInfo

# --- notifications -------------------------------------------------------------------------------

LISTENER = HOOKIMPL + dedent(
    """
    heard = []

    @hookimpl
    def trm_bench_metrics_logged(run, metrics):
        heard.append((run, metrics["step"]))
    """
)


def test_every_plugin_is_notified_whatever_another_one_does(install: Install) -> None:
    first = install("aaa", LISTENER)
    install("bad", HOOKIMPL + "@hookimpl\ndef trm_bench_metrics_logged(run): raise OSError('disk full')")
    last = install("zzz", LISTENER)
    host = only("aaa", "bad", "zzz")
    host.notify("trm_bench_metrics_logged", run="trm-s0", metrics={"step": 7.0})
    for module in (first, last):
        assert sys.modules[module].heard == [("trm-s0", 7.0)]
    assert host.problems() == ["bad:plug: OSError: disk full"]


def test_a_hook_gets_only_the_arguments_that_it_names(install: Install) -> None:
    source = HOOKIMPL + "heard = []\n@hookimpl\ndef trm_bench_grid_finished(runs): heard.append(runs)"
    module = install("lab", source)
    host = only("lab")
    host.notify("trm_bench_grid_finished", grid={"task": "tiny"}, runs={"a": "done"})
    assert sys.modules[module].heard == [{"a": "done"}]
    assert host.problems() == []


def test_a_variable_of_a_hook_is_not_taken_for_an_argument(install: Install) -> None:
    body = "    first = run\n    heard.append(first)\n"
    module = install("lab", HOOKIMPL + "heard = []\n@hookimpl\ndef trm_bench_metrics_logged(run):\n" + body)
    only("lab").notify("trm_bench_metrics_logged", run="trm-s0", metrics={})
    assert sys.modules[module].heard == ["trm-s0"]


def test_a_notification_that_exits_does_not_end_the_run(install: Install) -> None:
    install("bad", HOOKIMPL + "@hookimpl\ndef trm_bench_grid_started(grid): raise SystemExit(3)")
    only("bad").notify("trm_bench_grid_started", grid={})


def test_a_plugin_may_be_an_object_with_methods(install: Install) -> None:
    source = HOOKIMPL + dedent(
        """
        class Listener:
            def __init__(self):
                self.heard = []

            @hookimpl
            def trm_bench_metrics_logged(self, run):
                self.heard.append(run)

        listener = Listener()
        """
    )
    module = install("lab", source, target="made_lab_plug:listener")
    host = only("lab")
    host.notify("trm_bench_metrics_logged", run="trm-s0", metrics={})
    assert host.problems() == []
    assert sys.modules[module].listener.heard == ["trm-s0"]


def test_a_plugin_whose_command_hook_fails_costs_only_its_own_commands(install: Install) -> None:
    good = (
        "import click\n"
        + HOOKIMPL
        + "@hookimpl\ndef trm_bench_register_commands(cli):\n    cli.command('{}')(str)\n"
    )
    install("aaa", good.format("first"))
    install("bad", HOOKIMPL + "@hookimpl\ndef trm_bench_register_commands(cli): cli.no_such_method()")
    install("zzz", good.format("last"))
    host, cli = only("aaa", "bad", "zzz"), click.Group()
    host.add_commands(cli)
    assert set(cli.commands) == {"first", "last"}
    assert [problem.partition(": ")[0] for problem in host.problems()] == ["bad:plug"]


# --- the documentation of the hooks --------------------------------------------------------------


@pytest.fixture
def documented(install: Install) -> Callable[[str], Host]:
    """A host with one plugin: the example of a hook, installed as it stands."""

    def load(hook: str) -> Host:
        install("example", example(hook))
        host = only("example")
        assert host.problems() == []
        return host

    return load


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_every_hook_is_a_plugin_that_implements_it(
    hook: str, documented: Callable[[str], Host]
) -> None:
    assert documented(hook).plugins["example:plug"].hooks == (hook,)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_every_hook_uses_public_names_only(hook: str) -> None:
    imports = [node for node in ast.walk(ast.parse(example(hook))) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").split(".")[0] == "trm_bench"]
    assert ours
    for node in ours:
        assert node.module == "trm_bench"
        assert {alias.name for alias in node.names} <= set(trm_bench.__all__)


def test_every_public_name_is_there() -> None:
    assert all(getattr(trm_bench, name) is not None for name in trm_bench.__all__)


def test_the_example_task_builds_its_splits(documented: Callable[[str], Host]) -> None:
    spec = documented("trm_bench_register_tasks").tasks.get("echo").spec
    data = spec.build(BuildRequest("mini", 0))
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 3, 3)
    assert data.info.cells == data.train.inputs.shape[1]
    assert spec.primary in spec.evaluators
    whole = AugmentationRequest(data.info, data.train, None, training=True)
    assert spec.augmentation(whole).max_augmentations == spec.scales["mini"].augmentations


def test_the_example_model_predicts_a_batch(documented: Callable[[str], Host]) -> None:
    import torch

    spec = documented("trm_bench_register_models").models.get("per-cell").spec
    assert spec.config is not None
    assert spec.build is not None
    model = spec.build(spec.config(), TaskInfo("echo", "mini", 2, 2, 4))
    inputs = torch.tensor([[1, 2, 3, 1], [3, 3, 1, 2]])
    _, output = model(model.initial_state(2), inputs, torch.zeros(2, dtype=torch.long))
    assert output.logits.shape == (2, 4, 4)


def test_the_example_evaluator_scores_each_item(documented: Callable[[str], Host]) -> None:
    spec = documented("trm_bench_register_evaluators").evaluators.get("first-cell").spec
    targets = np.array([[1, 2], [2, 1]], np.uint8)
    puzzles = PuzzleSet.single_identity(targets, targets, ["p", "q"])
    predictions = Predictions(np.array([[1, 1], [1, 1]], np.uint8), 1, np.ones(2, np.int64), np.zeros(2))
    samples = spec.evaluate(TaskInfo("echo", "mini", 1, 2, 4), puzzles, predictions)
    assert [(sample.item, sample.score) for sample in samples] == [("p", 1.0), ("q", 0.0)]


def test_the_example_reporter_renders_a_report(documented: Callable[[str], Host]) -> None:
    spec = documented("trm_bench_register_reporters").reporters.get("titles").spec
    (table,) = sample_report().tables
    report = Report((table, replace(table, task="other")), (), (), ())
    assert spec.render(report) == f"{table.title} | {report.tables[1].title}"


def test_the_example_command_runs(documented: Callable[[str], Host]) -> None:
    cli = click.Group()
    documented("trm_bench_register_commands").add_commands(cli)
    assert CliRunner().invoke(cli, ["hello"]).output == "hello\n"


@pytest.mark.parametrize(
    ("hook", "arguments", "printed"),
    [
        ("trm_bench_grid_started", {"grid": {"task": "echo"}}, "started echo\n"),
        ("trm_bench_metrics_logged", {"run": "trm-s0", "metrics": {"step": 7}}, "trm-s0 7\n"),
        ("trm_bench_grid_finished", {"grid": {}, "runs": {"a": "done", "b": "failed"}}, "1 runs done\n"),
        ("trm_bench_report_ready", {"report": EMPTY_REPORT}, "0 tables\n"),
    ],
)
def test_the_example_notifications_arrive(
    hook: str,
    arguments: dict[str, object],
    printed: str,
    documented: Callable[[str], Host],
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = documented(hook)
    host.notify(hook, **arguments)
    assert capsys.readouterr() == ("", printed)  # stdout is for results
    assert host.problems() == []
