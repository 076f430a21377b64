"""``trm-bench evaluate``: stored weights answer the test split, at any depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..api.errors import UsageError
from ..host.host import host
from ..running.runner import command_line, cores, execute_evaluation
from . import complete
from .options import all_settings, data_options, device_option
from .printing import print_report

if TYPE_CHECKING:
    from ..planning.evaluation import EvaluationRequest
    from ..planning.evaluation_mode import EvaluationMode


@dataclass(frozen=True)
class Options:
    """The options of `evaluate` as they were given."""

    weights: tuple[Path, ...]
    model: str | None
    task: str | None
    scale: str | None
    source: str | None
    data: Path | None
    settings: tuple[str, ...]
    steps: str | None
    halt: str
    limit: int | None
    evaluators: str
    device: str
    jobs: int | None
    output: Path | None
    as_json: bool


@click.command("evaluate")
@click.option(
    "--weights",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    shell_complete=complete.weights,
    help="A file, a cell or an output folder; may be repeated, each file is a seed.",
)
@click.option(
    "--model",
    shell_complete=complete.model,
    help="Of weights from elsewhere: which model, with the options the file cannot tell.",
)
@data_options
@click.option("--steps", help="Supervision steps by comma, e.g. 1,2,4,8,16; by default the trained number.")
@click.option(
    "--halt",
    type=click.Choice(["full", "threshold"]),
    default="full",
    show_default=True,
    help="threshold: also let each puzzle stop, and leave the batch, when the model's own rule says so.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test items; not citable.")
@click.option(
    "--evaluators",
    default="",
    shell_complete=complete.evaluators,
    help="Further evaluators, for weights from elsewhere.",
)
@device_option
@click.option("--jobs", type=click.IntRange(min=1), help="Passes side by side; one per core on a CPU.")
@click.option("--output", type=click.Path(path_type=Path), help="By default results/TASK-SCALE-evaluated.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(**given: Any) -> int:
    """Evaluate stored weights, ours or in the names of the reference implementations.

    Every depth is a row of the table; all of them are read in one pass. Examples:

        trm-bench evaluate --weights results/sudoku-extreme-mini --steps 1,2,4,8,16,32

        trm-bench evaluate --weights step_65104 --model trm --task sudoku-extreme --data DIR
    """
    from ..planning.evaluation import plan_evaluation
    from ..running.progress import console, counted

    options = Options(**given)
    request, out = _request(options), console()
    with counted(out) as progress:
        planned = plan_evaluation(host(), request, options.output, command_line(), progress)
    workers = options.jobs or (cores() if request.device == "cpu" else 1)
    done = execute_evaluation(out, host(), planned, workers)
    print_report(host(), [planned.folder], options.as_json, not done, out)
    return 0 if done else 1


def _request(options: Options) -> EvaluationRequest:
    from ..planning.evaluation import EvaluationRequest
    from ..training.device import resolve_device

    pairs = all_settings(options.settings)
    return EvaluationRequest(
        weights=options.weights,
        hows=_hows(options.steps, options.halt, pairs),
        model=options.model,
        task=options.task,
        scale=options.scale,
        source=options.source,
        data=options.data,
        settings={key: value for key, value in pairs.items() if key not in ("votes", "puzzle_ids")},
        limit=options.limit,
        evaluators=tuple(name.strip() for name in options.evaluators.split(",") if name.strip()),
        device=resolve_device(options.device).type,
    )


def _hows(steps: str | None, halt: str, settings: dict[str, str]) -> tuple[EvaluationMode, ...]:
    """Every depth, and with ``--halt threshold`` each of them once more with halting."""
    from ..planning.evaluation_mode import EvaluationMode
    from ..planning.settings import puzzle_ids_of, whole_number

    votes = whole_number("votes", settings["votes"]) if "votes" in settings else None
    which = puzzle_ids_of(settings["puzzle_ids"]) if "puzzle_ids" in settings else None
    depths: list[int | None] = [None]
    if steps is not None:
        depths = [*dict.fromkeys(_depth(text.strip(), steps) for text in steps.split(","))]
    ways = (False, True) if halt == "threshold" else (False,)
    return tuple(EvaluationMode(depth, halting, votes, which) for halting in ways for depth in depths)


def _depth(text: str, steps: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= DEEPEST:
        raise UsageError(
            f"--steps {steps}: {text!r} is not a number of supervision steps from 1 to {DEEPEST}"
        )
    return int(text)


DEEPEST = 100_000
