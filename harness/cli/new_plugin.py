"""``trm-bench new-plugin``: a small project to begin from."""

from __future__ import annotations

import importlib.util
import keyword
import sys
from pathlib import Path

import click

from ..api.errors import UsageError
from ..host.host import host
from ..host.scaffold import KINDS, Project, write_project
from .options import PATH, json_option
from .terminal import echo, echo_json

_USED = {"tests", "conftest", "setup"}
"""Names that pytest and pip give a meaning of their own in a project's folder."""


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="model", show_default=True, help="What it adds.")
@click.option("--output", type=PATH, help="The folder to make; by default ./NAME.")
@json_option("the files")
def command(name: str, kind: str, output: Path | None, as_json: bool) -> None:
    """Write a small installable project that adds a model, task, evaluator or reporter.

    It works as written: install it, and it has its row. NAME names the distribution and what it adds.

    \b
        trm-bench new-plugin my-model
    """
    from ..store.provenance import version_of

    if name in getattr(host(), f"{kind}s").names():
        raise UsageError(f"there is a {kind} {name!r} already (see trm-bench list); choose another name")
    _refuse_shadows(name)
    folder = output or Path(name)
    written = write_project(Project(name, kind, version_of("trm-bench") or "0"), folder)
    if as_json:
        echo_json({"folder": str(folder), "files": [str(path) for path in written]})
        return
    for path in written:
        echo(str(path))
    echo(f"\nnext:\n  pip install -e {folder}\n  trm-bench check {name}\n  {_first_use(name, kind)}")


def _refuse_shadows(name: str) -> None:
    """Raise a `UsageError` where something else is called so: one of the two could not be imported."""
    from ..store.provenance import version_of

    module = name.replace("-", "_")
    try:
        found = importlib.util.find_spec(module) if module.isidentifier() else None
    except (ImportError, ValueError):
        found = None
    taken = (
        module in _USED
        or module in sys.stdlib_module_names
        or keyword.iskeyword(module)
        or (found and found.origin)
    )
    if taken or (name and version_of(name) is not None):
        raise UsageError(f"new-plugin {name}: {module!r} is the name of another module; choose another name")


def _first_use(name: str, kind: str) -> str:
    return {
        "model": f"trm-bench run --models {name},transformer --task maze-hard",
        "task": f"trm-bench run --models trm,transformer --task {name}",
        "evaluator": f"trm-bench run --models trm --task maze-hard --evaluators {name}",
        "reporter": f"trm-bench report results/maze-hard-mini --format {name}",
    }[kind]
