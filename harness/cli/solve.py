"""``trm-bench solve``: one puzzle, the answer to it after every supervision step, and whether it is right."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..api.errors import UsageError
from ..host.host import host
from . import complete
from .options import device_option, parse_settings
from .terminal import echo_json, spelled

if TYPE_CHECKING:
    from ..api.puzzles import TaskInfo
    from ..api.specs import Puzzle, TaskSpec
    from ..inference.one_puzzle import Solved
    from ..planning.evaluation import Opened

STDIN = "-"


@click.command("solve")
@click.argument("puzzle", required=False)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    required=True,
    shell_complete=complete.weights,
    help="Weights, or a cell's folder.",
)
@click.option(
    "--model", shell_complete=complete.model, help="Name of the model, where the weights do not say it."
)
@click.option(
    "--task", shell_complete=complete.task, help="Name of the task, where the weights do not say it."
)
@click.option(
    "--scale",
    shell_complete=complete.scale,
    help="mini, lite or paper, where the weights do not say it.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the official files.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@click.option("--steps", type=click.IntRange(min=1), help="Supervision steps; by default the model's own.")
@click.option("--identity", help="Name of the puzzle, where each has a vector (ARC); default: the file's.")
@click.option("--figure", type=click.Path(path_type=Path), help="Write a strip (.png, .svg) or a .gif.")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print steps and verdict as JSON.")
def command(puzzle: str | None, figure: Path | None, as_json: bool, **options: Any) -> None:
    """Answer one puzzle and show the answer after every supervision step.

    PUZZLE is the puzzle itself, a file, or - for standard input: the digits of a Sudoku, the lines of a
    maze, an ARC task in JSON. Wrong cells are marked, and those that changed since the step before. Example:

        trm-bench solve sudoku.txt --weights results/my-run/trm-s0-1a2b3c4d
    """
    from ..planning.evaluation import open_weights
    from ..report import strips
    from ..running.progress import console, counted
    from ..training.device import resolve_device

    text, name = read_puzzle(puzzle)
    if figure is not None:
        strips.check(figure)
    steps, identity = options.pop("steps"), options.pop("identity")
    path, settings = options.pop("weights"), parse_settings(options.pop("settings"))
    options["device"] = resolve_device(options["device"]).type
    with counted(console()) as progress:
        opened = open_weights(host(), path, source=None, settings=settings, progress=progress, **options)
    questions = _questions(opened.task.spec, text, opened.prepared.info, puzzle)
    solved = [_solve(opened, question, identity, name, steps) for question in questions]
    if as_json:
        echo_json(_as_json(opened, solved), indent=None)
    else:
        _print(opened, solved)
    if figure is not None:
        _draw(figure, opened, solved)


def read_puzzle(puzzle: str | None) -> tuple[str, str | None]:
    """The text of a puzzle, and the name of its file without the ending.

    Raises:
        UsageError: there is none, or it is no text.
    """
    if puzzle is None or puzzle == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "no puzzle: pass its characters, the path of a file, or pipe it in (trm-bench solve - < FILE)"
            )
        return _decoded(sys.stdin.buffer.read(), "standard input"), None
    # A maze may be too long for a name of a file, which these functions take as an answer.
    if os.path.isfile(puzzle):
        return _decoded(Path(puzzle).read_bytes(), puzzle), Path(puzzle).stem
    if os.path.isdir(puzzle):
        raise UsageError(f"{puzzle} is a folder; name the file of one puzzle")
    return puzzle, None


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not UTF-8 text, so no puzzle") from error


def _questions(spec: TaskSpec, text: str, info: TaskInfo, argument: str | None) -> Sequence[Puzzle]:
    if spec.parse is None:
        able = [part.spec.name for part in host().tasks.parts if part.spec.parse is not None]
        raise UsageError(f"task {spec.name!r} reads no typed puzzles; {', '.join(able)} do")
    if not text.strip():
        raise UsageError("the puzzle is empty")
    try:
        return spec.parse(text, info)
    except UsageError as error:
        if text == argument and re.search(r"[/\\]|\.[A-Za-z]\w*$", text):
            raise UsageError(f"there is no file {argument}, and as a puzzle: {error}") from error
        raise


def _solve(
    opened: Opened, question: Puzzle, identity: str | None, name: str | None, steps: int | None
) -> Solved:
    from ..inference.one_puzzle import judged, puzzle_row, trace

    spec, prepared = opened.task.spec, opened.prepared
    if prepared.rows is None and identity is not None:
        raise UsageError(f"--identity {identity}: puzzles of {spec.name!r} have no identities; leave it out")
    row = puzzle_row(prepared, identity or question.identity or name)
    found = trace(opened.reasoner, question, row.number, opened.answering, steps)
    return judged(spec, prepared.info, question, row, found)


def _print(opened: Opened, solved: Sequence[Solved]) -> None:
    from rich.console import Console, ConsoleDimensions
    from rich.text import Text

    from ..inference.one_puzzle import BLANK_IDENTITY, verdict
    from ..report.boards import Look, boards, legend

    out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if out.is_dumb_terminal:  # which rich takes for one of 80 columns, whatever it has
        out.size = ConsoleDimensions(*shutil.get_terminal_size())
    look = Look.of(out)
    info, symbols = opened.prepared.info, opened.task.spec.symbols
    for place, one in enumerate(solved):
        lines = [Text(_title(opened, one))]
        lines += [Text(f"note: {BLANK_IDENTITY}")] * one.row.blank
        lines += [Text(), *boards(one.question, one.steps, info, symbols, look), Text()]
        lines += [words for words in [legend(one.question, one.steps, look)] if words.plain]
        lines += [Text(line, "bold" if look.coloured else "") for line in verdict(one)]
        for line in [Text()] * (place > 0) + lines:
            if look.coloured:
                out.print(line, soft_wrap=True)
            else:
                click.echo(spelled(line.plain, out.encoding))


def _title(opened: Opened, one: Solved) -> str:
    named = f" ({one.row.identity})" if one.row.identity else ""
    return f"{one.question.title}{named} · {opened.model}"


def _as_json(opened: Opened, solved: Sequence[Solved]) -> dict[str, Any]:
    info = opened.prepared.info
    return {
        "model": opened.model,
        "task": info.task,
        "scale": info.scale,
        "symbols": list(opened.task.spec.symbols),
        "puzzles": [_one_as_json(one, info) for one in solved],
    }


def _one_as_json(one: Solved, info: TaskInfo) -> dict[str, Any]:
    from ..inference.one_puzzle import changed_cells, wrong_cells

    def grid(tokens: Any) -> Any:
        return tokens.reshape(info.height, info.width).tolist()

    known = one.question.targets is not None
    return {
        "title": one.question.title,
        "identity": one.row.identity,
        "blank_identity": one.row.blank,
        "question": grid(one.question.inputs),
        "truth": grid(one.question.targets) if known else None,
        "steps": [
            {
                "step": step.number,
                "answer": grid(step.answer),
                "halt_probability": step.halt_probability,
                "wants_to_halt": step.wants_to_halt,
                "wrong": len(wrong_cells(one.question, step.answer)) if known else None,
                "changed": len(changed_cells(one.steps, place)) if place else None,
            }
            for place, step in enumerate(one.steps)
        ],
        "right": one.right,
        "obeys": one.obeys.ok,
        "words": one.obeys.words,
    }


def _draw(path: Path, opened: Opened, solved: Sequence[Solved]) -> None:
    """One file for each question, numbered where there are several."""
    from ..inference.one_puzzle import verdict
    from ..report import strips

    info, symbols = opened.prepared.info, opened.task.spec.symbols
    for number, one in enumerate(solved, start=1):
        file = path.with_stem(f"{path.stem}-{number}") if len(solved) > 1 else path
        title = f"{_title(opened, one)}\n{verdict(one)[0]}"
        strips.save(file, one.question, one.steps, info, symbols, title)
        click.echo(f"wrote {file}", err=True)
