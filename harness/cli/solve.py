"""``trm-bench solve``: one puzzle, the prediction after every supervision step, and whether it is correct."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..api.errors import UnavailableError, UsageError
from ..api.reading import TEXT_BYTES, decoded, read_bytes
from .complete import names
from .options import (
    PATH,
    device_option,
    json_option,
    parse_settings,
    weights_data_options,
    weights_key_option,
)
from .terminal import echo, echo_json, echo_table

if TYPE_CHECKING:
    from ..api.puzzles import TaskInfo
    from ..inference.one_puzzle import Solved
    from ..planning.open_weights import OpenedWeights

STDIN = "-"


@click.command("solve")
@click.argument("puzzle", required=False)
@click.option("--weights", type=PATH, required=True, help="A file of weights, or a run's folder.")
@click.option("--model", shell_complete=names("models"), help="Architecture of external weights.")
@weights_key_option
@weights_data_options
@click.option("--steps", type=click.IntRange(min=1), help="Supervision steps; by default the model's own.")
@click.option("--identity", help="Name of the puzzle (ARC); by default that of the file.")
@click.option("--figure", type=PATH, metavar="FILE.gif", help="Also write an animation.")
@device_option
@json_option("steps and verdict")
def command(
    puzzle: str | None,
    weights: Path,
    steps: int | None,
    identity: str | None,
    figure: Path | None,
    as_json: bool,
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Solve one puzzle and show the prediction after every supervision step.

    PUZZLE is the puzzle itself, a file, or - for standard input: the digits of a Sudoku, the lines of a
    maze, an ARC task in JSON. Wrong cells are marked, and those that changed since the step before. Example:

    \b
        trm-bench solve sudoku.txt --weights results/my-run/trm-s0-1a2b3c4d
    """
    from ..python.verbs import open_model, parse_puzzles, solve
    from ..report import animation

    text, name = read_puzzle(puzzle)
    if figure is not None:
        animation.check(figure)
    opened = open_model(weights, settings=parse_settings(settings), progress=True, **options)
    try:
        puzzles = parse_puzzles(opened, text)
    except UsageError as error:
        if text == puzzle and re.search(r"[/\\]|\.[A-Za-z]\w*$", text):
            raise UsageError(f"there is no file {puzzle}, and as a puzzle: {error}") from error
        raise
    known_by = name if opened.prepared.rows is not None else None
    solved = [
        solve(opened, one, identity=identity or one.identity or known_by, steps=steps) for one in puzzles
    ]
    if as_json:
        echo_json(_as_json(opened, solved), indent=None)
    else:
        _print(opened, solved)
    if figure is not None:
        _animate(figure, opened, solved)


def read_puzzle(puzzle: str | None) -> tuple[str, str | None]:
    """The text of a puzzle, and the name of its file without the suffix.

    Raises:
        UsageError: there is none, or it is no text.
    """
    if puzzle is None or puzzle == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "no puzzle: pass its characters, the path of a file, or pipe it in (trm-bench solve - < FILE)"
            )
        return _decoded(sys.stdin.buffer.read(TEXT_BYTES + 1), "standard input"), None
    # A maze may be too long for a file name, which these functions take for "no".
    if os.path.isfile(puzzle):
        try:
            return _decoded(read_bytes(Path(puzzle)), puzzle), Path(puzzle).stem
        except OSError as error:
            raise UnavailableError(f"{puzzle}: {error.strerror or error}") from error
    if os.path.isdir(puzzle):
        raise UsageError(f"{puzzle} is a folder; name the file of one puzzle")
    return puzzle, None


def _decoded(content: bytes, where: str) -> str:
    if len(content) > TEXT_BYTES:
        raise UsageError(f"{where}: more than {TEXT_BYTES:,} bytes, so no puzzle")
    try:
        return decoded(content)
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not UTF-8 text, so no puzzle") from error


def _title(opened: OpenedWeights, solved: Solved) -> str:
    named = f" ({solved.row.identity})" if solved.row.identity else ""
    return f"{solved.puzzle.title}{named} · {opened.model}"


def _print(opened: OpenedWeights, solved: Sequence[Solved]) -> None:
    from ..inference.one_puzzle import BLANK_IDENTITY, verdict
    from ..report.boards import legend, steps_table

    for place, one in enumerate(solved):
        echo("\n" * (place > 0) + _title(opened, one))
        if one.row.blank:
            echo(f"note: {BLANK_IDENTITY}")
        echo_table(steps_table(one, opened.prepared.info, opened.task.spec.symbols))
        for line in filter(None, [legend(one), *verdict(one)]):
            echo(line)


def _as_json(opened: OpenedWeights, solved: Sequence[Solved]) -> dict[str, Any]:
    info = opened.prepared.info
    return {
        "model": opened.model,
        "task": info.task,
        "scale": info.scale,
        "symbols": list(opened.task.spec.symbols),
        "puzzles": [_one_as_json(one, info) for one in solved],
    }


def _one_as_json(solved: Solved, info: TaskInfo) -> dict[str, Any]:
    from ..inference.one_puzzle import changed_cells, wrong_cells

    def grid(tokens: Any) -> Any:
        return tokens.reshape(info.height, info.width).tolist()

    known = solved.puzzle.targets is not None
    return {
        "title": solved.puzzle.title,
        "identity": solved.row.identity,
        "blank_identity": solved.row.blank,
        "puzzle": grid(solved.puzzle.inputs),
        "solution": grid(solved.puzzle.targets) if known else None,
        "steps": [
            {
                "step": step.number,
                "prediction": grid(step.tokens),
                "halt_probability": step.halt_probability,
                "stops": step.stops,
                "wrong": len(wrong_cells(solved.puzzle, step.tokens)) if known else None,
                "changed": len(changed_cells(solved.steps, place)) if place else None,
            }
            for place, step in enumerate(solved.steps)
        ],
        "correct": solved.correct,
        "valid": solved.check.valid,
        "reason": solved.check.reason,
    }


def _animate(path: Path, opened: OpenedWeights, solved: Sequence[Solved]) -> None:
    """One file for each puzzle, numbered where there are several."""
    from ..inference.one_puzzle import verdict
    from ..report.animation import animate

    for number, one in enumerate(solved, start=1):
        file = path.with_stem(f"{path.stem}-{number}") if len(solved) > 1 else path
        title = f"{_title(opened, one)}\n{verdict(one)[0]}"
        animate(file, one, opened.prepared.info, opened.task.spec.symbols, title)
        echo(f"wrote {file}", err=True)
