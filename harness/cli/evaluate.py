"""``trm-bench evaluate``: saved weights on the test or validation set, at any depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .complete import names
from .options import (
    PATH,
    all_settings,
    device_option,
    evaluators_option,
    jobs_option,
    json_option,
    limit_option,
    on_option,
    weights_data_options,
    weights_key_option,
)


@click.command("evaluate")
@click.option(
    "--weights",
    multiple=True,
    required=True,
    type=PATH,
    help="A file, a run or an output folder; may be repeated, each file is a row.",
)
@click.option(
    "--model",
    shell_complete=names("models"),
    help="Architecture of external weights, e.g. trm[cycles=3].",
)
@weights_key_option
@click.option("--as-seeds", is_flag=True, help="The files of external weights are seeds of one model.")
@weights_data_options
@click.option("--steps", help="Supervision steps by comma, e.g. 1,2,4,8,16; by default the trained number.")
@click.option(
    "--halt",
    type=click.Choice(["full", "threshold"]),
    default="full",
    show_default=True,
    help="threshold: also let each puzzle stop, and leave the batch, when the model's own rule says stop.",
)
@click.option("--rollouts", help="Answers per puzzle by comma, e.g. 1,4,16; each is a row.")
@click.option("--noise", help="Noise on the state before every supervision step by comma, e.g. 0.1,0.3.")
@click.option("--noise-on", help="Part of the state that gets it, e.g. z or y, or both.")
@click.option("--noise-seed", type=int, help="Seed of the noise at evaluation; 0 by default.")
@click.option(
    "--select",
    type=click.Choice(["first", "mode", "q", "residual"]),
    help="Which of several answers counts: the first, the most frequent, by halt logit, or by residual.",
)
@click.option(
    "--split",
    type=click.Choice(["test", "validation"]),
    default="test",
    show_default=True,
    help="Puzzles to evaluate on; settings may be chosen by scores on validation (not citable).",
)
@limit_option
@evaluators_option
@device_option
@on_option
@jobs_option
@click.option(
    "--output",
    type=PATH,
    help="By default results/TASK-SCALE-evaluated, with -validation where that is scored.",
)
@json_option("the report")
def command(
    weights: tuple[Path, ...], halt: str, settings: tuple[str, ...], as_json: bool, **options: Any
) -> int:
    """Evaluate saved weights, ours or in the names of the reference implementations.

    Every depth is a row of the table; all of them are read in one pass. Examples:

    \b
        trm-bench evaluate --weights results/sudoku-extreme-mini --steps 1,2,4,8,16,32
        trm-bench evaluate --weights step_65104 --model trm --task sudoku-extreme --data DIR
    """
    from ..python.api import evaluate
    from ..running.runner import command_line
    from .printing import print_results

    results = evaluate(
        weights,
        halting=halt == "threshold",
        settings=all_settings(settings),
        progress=True,
        command=command_line(),
        **options,
    )
    return print_results(results, as_json)
