"""``trm-bench check``: the conformance checks on a plugin's part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..api.errors import UsageError, nearest
from ..host.host import Host, host
from .complete import names
from .options import json_option
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from ...testing import Finding

KINDS = ("model", "task", "evaluator", "reporter")
_A = {"model": "a model", "task": "a task", "evaluator": "an evaluator", "reporter": "a reporter"}


@click.command("check")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Where a name means several things.")
@click.option(
    "--task",
    shell_complete=names("tasks"),
    help="For an evaluator the task whose puzzles it is tried on, for a model the one whose shape it gets.",
)
@json_option("the findings")
def command(name: str, kind: str | None, task: str | None, as_json: bool) -> int:
    """Run the conformance checks on a model, task, evaluator or reporter, and say what is wrong and where.

    NAME is what `list` prints, with a model's options in brackets. Ends with exit code 1 if a check fails.

    \b
        trm-bench check my-model
    """
    kind = kind or kind_of(host(), name)
    findings = _find(kind, name, task)
    failed = sum(not finding.ok for finding in findings)
    if as_json:
        content = {"kind": kind, "name": name, "findings": [asdict(finding) for finding in findings]}
        echo_json(content)
    else:
        for finding in findings:
            echo(str(finding))
        echo(
            f"{kind} {name}: {failed} of {len(findings)} checks failed"
            if failed
            else f"{kind} {name}: all {len(findings)} checks hold"
        )
    return 1 if failed else 0


def kind_of(plugins: Host, name: str) -> str:
    """The kind of part that a name belongs to.

    Raises:
        UsageError: it belongs to none, or to several.
    """
    plain = name.partition("[")[0]
    known: dict[str, Sequence[str]] = {
        kind: [
            text for part in getattr(plugins, f"{kind}s").parts for text in (part.spec.name, part.full_name)
        ]
        for kind in KINDS
    }
    kinds = [kind for kind, names in known.items() if plain in names]
    if not kinds:
        every = [text for names in known.values() for text in names if ":" not in text]
        broken = [plugin.label for plugin in plugins.plugins.values() if plugin.error]
        also = f"; {', '.join(broken)} could not be loaded, see trm-bench plugins" if broken else ""
        raise UsageError(f"nothing is called {plain!r}; {nearest(plain, every)}{also}")
    if len(kinds) > 1:
        raise UsageError(
            f"{plain!r} is the name of {' and of '.join(_A[kind] for kind in kinds)}; say which with --kind"
        )
    return kinds[0]


def _find(kind: str, name: str, task: str | None) -> tuple[Finding, ...]:
    from ...testing.evaluators import find_in_evaluator
    from ...testing.models import find_in_model
    from ...testing.reporters import find_in_reporter
    from ...testing.tasks import find_in_task, shape_of

    if task is not None and kind not in ("evaluator", "model"):
        raise UsageError(f"--task goes with an evaluator or a model, and {name!r} is a {kind}")
    if kind == "evaluator":
        return find_in_evaluator(name, task)
    if kind == "model":
        return find_in_model(name) if task is None else find_in_model(name, shape_of(task))
    return find_in_task(name) if kind == "task" else find_in_reporter(name)
