"""Run seeds until every test is decided, from one planned look at the results to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..api.errors import UsageError
from ..api.text import plural
from ..planning.grid import Grid
from ..planning.looks import Looks, check_seeds, claim_looks, first_seeds, write_looks
from ..planning.request import Request
from ..report.looks import look_line, next_look
from ..report.read import read_runs
from ..running.runner import Execution
from ..store.folders import Output
from ..store.locks import locked
from ..store.records import Status
from .grids import carry_out


def until_decided(request: Request, execution: Execution) -> Request:
    """The request to run seeds until every test is decided.

    Raises:
        UsageError: it has too few seeds, or finished runs are to be repeated.
    """
    if execution.force:
        raise UsageError(
            "--force cannot be combined with --until-decided: a look holds for the runs that it was made at; "
            "choose another --output"
        )
    return replace(request, seeds=check_seeds(request.seeds), until_decided=True)


def carry_out_seeds(execution: Execution, grid: Grid, folder: Path) -> dict[str, Status]:
    """Carry a grid out, all of its seeds or as many as its request needs until every test is decided."""
    if not grid.context.request.until_decided:
        return carry_out(execution, grid, folder)
    Output(folder).claim(grid.common())  # before a file is written into the folder of another grid
    with locked(folder, execution.tell):
        looks = claim_looks(folder, grid)
    while True:
        now = first_seeds(grid, looks.seeds)
        statuses = carry_out(execution, now, folder)
        if looks.over:
            return statuses
        unfinished = [name for name, status in statuses.items() if status is not Status.DONE]
        if unfinished:
            execution.tell(
                f"the look at {looks.seeds} seeds waits for {plural(len(unfinished), 'run')}, such as "
                f"{unfinished[0]}: repeat the command{_if_failed(statuses)}"
            )
            return statuses
        with locked(folder, execution.tell):
            looks = _look(folder, looks)
        execution.tell(look_line(looks))
        if looks.over:
            return statuses


def _if_failed(statuses: Mapping[str, Status]) -> str:
    failed = [name for name, status in statuses.items() if status is Status.FAILED]
    if not failed:
        return ""
    return (
        f". {plural(len(failed), 'run')} failed: if they fail again, no look can be made, because a model is "
        "compared on all of its seeds; choose other settings in another folder"
    )


def _look(folder: Path, looks: Looks) -> Looks:
    """Make the next look and write it down.

    Raises:
        TrmBenchError: a run of the look cannot be read.
    """
    problems: list[str] = []
    looks = next_look(looks, read_runs([folder], problems, []))
    write_looks(folder, looks)
    return looks
