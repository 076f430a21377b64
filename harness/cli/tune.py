"""``trm-bench tune``: settings of models, tried and chosen on the validation puzzles alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import (
    PATH,
    all_settings,
    config_option,
    data_options,
    device_option,
    evaluators_option,
    jobs_option,
    json_option,
    limit_option,
    models_option,
    on_option,
)
from .run import print_costs
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from ..python.tune import TunedModel, Tuning
    from ..report.tuning import Setting


@click.command("tune")
@models_option
@data_options
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=VALUE,VALUE",
    help="A training setting or an option of the models, and its values; repeatable.",
)
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    help="Settings for each model, drawn from the grid; by default all of it.",
)
@click.option(
    "--shuffle", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of that draw."
)
@click.option("--seeds", default="0-2", show_default=True, help="Training seeds of every setting.")
@click.option(
    "--augmentations", type=click.IntRange(min=1), help="Augmentations per puzzle, itself included."
)
@click.option("--match", help="What is made equal between models: steps (the default), examples or flops.")
@limit_option
@evaluators_option
@device_option
@on_option
@jobs_option
@click.option("--output", type=PATH, help="By default results/TASK-SCALE-tune.")
@click.option("--force", is_flag=True, help="Repeat finished runs.")
@click.option("--dry-run", is_flag=True, help="Show the runs and what they cost; run nothing.")
@json_option("everything that was tried, or the dry run,")
@config_option
def command(
    models: str | None,
    task: str | None,
    grid: tuple[str, ...],
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Try settings of models and choose on the validation puzzles; the test set is never read.

    Every model is tried with the same settings under the same budget. The table and the best settings as a
    recipe are printed, and written to the output folder. Repeat the command to continue. Example:

    \b
        trm-bench tune --models trm,hrm --task maze-hard --grid lr=0.001,0.002,0.004 --grid weight_decay=0.1,1
    """
    from ..python.tune import prepare_tune
    from ..running.runner import command_line

    given = {**options, "settings": all_settings(settings), "progress": True, "command": command_line()}
    given["dry"] = dry_run
    call = prepare_tune(models or (), task, grid, **given)
    if dry_run:
        return print_costs(call.call, as_json)
    tuning = call.carry_out()
    if as_json:
        echo_json(tuning.as_dict())
    else:
        echo(render(tuning))
    return 1 if tuning.failed else 0


HEADERS = ("lowest, highest seed", "seeds", "standing")
"""Of the last columns."""


def render(tuning: Tuning) -> str:
    """The table of what was tried, what it says, and the best settings as recipes."""
    from tabulate import tabulate

    from ..python.tune import RECIPE

    headers = ["model", *tuning.axes, f"{tuning.heading} [95 % CI]", *HEADERS]
    rows = [_row(tuning, model, one) for model in tuning.models for one in model.settings]
    align = ["left", *["right"] * (len(headers) - 2), "left"]
    parts = [
        tuning.title,
        tuning.conditions,
        tabulate(rows, headers=headers, disable_numparse=True, colalign=align),
        "\n".join(_choice(model) for model in tuning.models),
        "\n".join(f"- {note}" for note in tuning.notes),
    ]
    if tuning.recipes:
        parts.append(f"{tuning.folder / RECIPE}:\n\n{tuning.recipes.rstrip()}")
    return "\n\n".join(parts)


def _row(tuning: Tuning, model: TunedModel, setting: Setting) -> list[str]:
    summary = setting.summary
    scores = [seed.score for seed in setting.seeds if seed.score is not None]
    done, most = len(scores), len(setting.seeds)
    return [
        model.model,
        *(setting.values.get(key, "–") for key in tuning.axes),
        "–"
        if summary is None
        else f"{_percent(summary.mean)} [{_percent(summary.low)}, {_percent(summary.high)}]",
        f"{_percent(min(scores))}, {_percent(max(scores))}" if done > 1 else "–",
        str(done) if done == most else f"{done} of {most}",
        setting.standing.value,
    ]


def _percent(score: float) -> str:
    return f"{100 * score:.1f}"


def _choice(model: TunedModel) -> str:
    """The best setting of a model, and those that may be as good."""
    best = model.best
    if best is None or best.summary is None:
        some = any(one.complete for one in model.settings)
        why = "every setting scores 0" if some else "no setting is done with every seed"
        return f"{model.model}: nothing to choose, as {why}"
    text = f"{model.model}: best {best.label} ({_percent(best.summary.mean)} %)"
    if model.undecided:
        text += f"; undecided between it and {'; '.join(one.label for one in model.undecided)}"
    return text
