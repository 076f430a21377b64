"""What a shell may offer for a word of the command line: names of models, tasks and runs.

A function for each kind of value, attached to its option by ``shell_complete=``. A wrong guess here
costs a key press and an error message costs the prompt, so nothing raises: what cannot be read is
not offered.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..api.errors import TrmBenchError
from ..host.host import DISABLE_VARIABLE, Host, find_entry_points, host, selected

Item = CompletionItem[str]
Completer = Callable[[click.Context, click.Parameter, str], list[Item]]

OUTPUT_MARKS = ("study.json", "definition.json")
"""A folder with one of these is an output folder; see `store.folders` and `planning.study`."""
CELL_MARK = "manifest.json"
DEEP, NEAR, MOST = 5, 3, 4000
"""How far below `results` or a folder that was typed, and below the current one, runs are looked for; and
how many folders are opened at most, since somebody may press the key in the root folder."""


def careful(function: Completer) -> Completer:
    """Offer nothing where something is wrong: a plugin that does not work, a folder that cannot be read."""

    @functools.wraps(function)
    def guarded(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
        try:
            return function(context, parameter, incomplete)
        except (Exception, SystemExit):
            return []

    return guarded


def _host() -> Host:
    """All plugins that work; a strict mode, or a file that was asked for, is for runs to insist on."""
    try:
        return host()
    except TrmBenchError:
        return Host(selected(find_entry_points(), os.environ.get(DISABLE_VARIABLE, "")))


# --- names ---------------------------------------------------------------------------------------


def _named(registry: Any, incomplete: str) -> Iterator[Item]:
    """Every name with its summary; in full where it has two owners, or where a colon was typed."""
    in_full = ":" in incomplete.rpartition(",")[2]
    clashing = registry.clashes()
    for part in registry.parts:
        summary = " ".join(part.spec.summary.split())
        name = part.full_name if in_full or part.spec.name in clashing else part.spec.name
        yield CompletionItem(name, help=summary)


def _starting(items: Iterable[Item], incomplete: str, before: str = "") -> list[Item]:
    """Those that start with what was typed, behind what stands before it."""
    return [
        CompletionItem(before + item.value, help=item.help)
        for item in items
        if item.value.startswith(incomplete)
    ]


def _last_of_list(text: str) -> tuple[str, str] | None:
    """A comma list as what stays and the element that is typed; None in brackets, which are left alone."""
    if text.count("[") > text.count("]"):
        return None
    commas = [found.end() for found in re.finditer(r",(?![^\[]*\])", text)]
    place = commas[-1] if commas else 0
    return (text[:place], text[place:]) if "[" not in text[place:] else None


def _in_list(items: Iterable[Item], incomplete: str) -> list[Item]:
    """The last element of a comma list; what stands in it already is not offered again."""
    parts = _last_of_list(incomplete)
    if parts is None:
        return []
    before, typed = parts
    present = set(before.split(","))
    return _starting((item for item in items if item.value not in present), typed, before)


@careful
def models(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Models by comma."""
    return _in_list(_named(_host().models, incomplete), incomplete)


@careful
def model(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """One model."""
    return _starting(_named(_host().models, incomplete), incomplete)


@careful
def task(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A task."""
    return _starting(_named(_host().tasks, incomplete), incomplete)


def _tasks_meant(context: click.Context) -> list[Any]:
    """The task of ``--task`` where that stands on the line already, else all of them."""
    parts = _host().tasks.parts
    named = context.params.get("task")
    meant = [part for part in parts if named in (part.spec.name, part.full_name)]
    return [part.spec for part in meant or parts]


@careful
def scale(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A scale of the task."""
    found = {
        name: CompletionItem(name, help=one.summary)
        for spec in reversed(_tasks_meant(context))
        for name, one in spec.scales.items()
    }
    return _starting(found.values(), incomplete)


@careful
def source(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A source of the task's puzzles."""
    names = dict.fromkeys(name for spec in _tasks_meant(context) for name in spec.sources)
    return _starting(map(CompletionItem, names), incomplete)


@careful
def evaluators(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Evaluators by comma that fit the task."""
    tasks = {spec.name for spec in _tasks_meant(context)}
    parts = _host().evaluators.parts
    unfit = {part.spec.name for part in parts if part.spec.tasks and not tasks & set(part.spec.tasks)}
    fit = (item for item in _named(_host().evaluators, incomplete) if item.value not in unfit)
    return _in_list(fit, incomplete)


@careful
def part(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """What `check` takes: a model, task, evaluator or reporter."""
    plugins = _host()
    registries: Sequence[Any] = (plugins.models, plugins.tasks, plugins.evaluators, plugins.reporters)
    return _starting((item for one in registries for item in _named(one, incomplete)), incomplete)


@careful
def reporter(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A reporter."""
    return _starting(_named(_host().reporters, incomplete), incomplete)


@careful
def study(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A study by name; else the path of its file."""
    return _starting(_named(_host().studies, incomplete), incomplete) or [
        CompletionItem(incomplete, type="file")
    ]


@careful
def device(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A kind of device, whether or not this machine has one: to look would mean to import torch."""
    return _starting(map(CompletionItem, ("auto", "cpu", "cuda", "mps")), incomplete)


# --- runs ----------------------------------------------------------------------------------------


def _folders(root: str, depth: int) -> Iterator[tuple[str, bool]]:
    """Output folders and cells below a folder, near ones first, and whether each is a cell."""
    level, left = [root], MOST
    for _ in range(depth + 1):
        below: list[str] = []
        for folder in level:
            left -= 1
            if left < 0:
                return
            try:
                entries = sorted(os.scandir(folder or os.curdir), key=lambda entry: entry.name)
            except OSError:
                continue
            names = {entry.name for entry in entries}
            if CELL_MARK in names:
                yield folder, True
                continue
            if names & set(OUTPUT_MARKS):
                yield folder, False
            below += [
                os.path.join(folder, entry.name)
                for entry in entries
                if not entry.name.startswith(".") and _is_folder(entry)
            ]
        level = below


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _runs(incomplete: str, cells: bool) -> list[str]:
    """The output folders, or the cells, whose path starts with what was typed."""
    typed = os.path.dirname(incomplete)
    if typed:
        root = typed if incomplete.startswith(typed + os.sep) else os.sep
        roots = [(root, DEEP)]
    else:
        roots = [("results", DEEP), ("", NEAR)]
    found = dict.fromkeys(
        folder or os.curdir
        for root, depth in roots
        for folder, is_cell in _folders(root, depth)
        if is_cell is cells
    )
    return [folder for folder in found if folder.startswith(incomplete)]


def _or_path(names: Sequence[str], incomplete: str, kind: str) -> list[Item]:
    """The names; where there is none, whatever the shell itself finds."""
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type=kind)]


@careful
def outputs(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Output folders that are not on the line yet; beneath one of them its cells; else any folder."""
    there = {str(folder) for folder in context.params.get("folders") or ()}
    found = [name for name in _runs(incomplete, cells=False) if name not in there]
    return _or_path(found or _runs(incomplete, cells=True), incomplete, "dir")


@careful
def cell(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A cell; else any folder."""
    return _or_path(_runs(incomplete, cells=True), incomplete, "dir")


@careful
def weights(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Output folders and cells; else any file."""
    return _or_path(_runs(incomplete, cells=False) + _runs(incomplete, cells=True), incomplete, "file")


@careful
def side(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
    """A side of `compare`: a model or an output folder."""
    folders = [CompletionItem(name) for name in _runs(incomplete, cells=False)]
    found = model(context, parameter, incomplete) + folders
    return found or [CompletionItem(incomplete, type="dir")]
