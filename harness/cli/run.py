"""``trm-bench run``: the main job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..api.errors import UsageError
from .complete import names
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
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from ..python.api import Call


@click.command("run")
@models_option
@click.option(
    "--study",
    shell_complete=names("studies"),
    help="Run a study: its name (see `list studies`) or a YAML file.",
)
@data_options
@click.option("--seeds", help="Training seeds: 0-4, 0,1,2 or 3; by default 0-4, or the study's.")
@click.option(
    "--augmentations", type=click.IntRange(min=1), help="Augmentations per puzzle, itself included."
)
@click.option("--match", help="What is made equal between models: steps (the default), examples or flops.")
@click.option(
    "--baseline", help="The one of the models that all others are compared with; by default every pair is."
)
@click.option("--until-decided", is_flag=True, help="Run 5, 8 and 10 seeds, until every test is decided.")
@limit_option
@evaluators_option
@device_option
@on_option
@jobs_option
@click.option("--output", type=PATH, help="By default results/TASK-SCALE.")
@click.option("--force", is_flag=True, help="Repeat finished runs.")
@click.option("--dry-run", is_flag=True, help="Show the runs and what they cost; run nothing.")
@click.option(
    "--plan-only", is_flag=True, help="Write the plan to the output folder and print each run for run-one."
)
@click.option("--costs", is_flag=True, help="Print the tables of costs too.")
@json_option("the report, or the dry run,")
@config_option
def command(
    dry_run: bool,
    plan_only: bool,
    as_json: bool,
    costs: bool,
    settings: tuple[str, ...],
    **options: Any,
) -> int:
    """Train and evaluate models on a task, or run a study, and print the table.

    Finished runs in the output folder are reused. Examples:

    \b
        trm-bench run --models trm,hrm,transformer --task maze-hard
        trm-bench run --study where-the-gain-is --seeds 0-2
    """
    from ..python.api import prepare_run
    from ..running.runner import command_line
    from .printing import print_results

    if dry_run and plan_only:
        raise UsageError("--dry-run writes nothing, and --plan-only writes the plan; choose one")
    models, task, study = options.pop("models"), options.pop("task"), options.pop("study")
    call = prepare_run(
        models or (),
        task,
        study=study,
        settings=all_settings(settings),
        progress=True,
        command=command_line(),
        dry=dry_run,
        **options,
    )
    if dry_run:
        return print_costs(call, as_json)
    if plan_only:
        return print_plan(call, as_json)
    return print_results(call.carry_out(), as_json, costs)


def print_plan(call: Call, as_json: bool) -> int:
    """Write the plan of a call and print folder and name of each run, a line each."""
    import shlex

    from ..python.status import planned_runs

    runs = planned_runs(call)
    if as_json:
        echo_json([{"folder": folder, "run": run} for folder, run in runs])
    else:
        echo("\n".join(f"{shlex.quote(folder)} {shlex.quote(run)}" for folder, run in runs))
    return 1 if any(grid.broken for grid, _ in call.grids.values()) else 0


def print_costs(call: Call, as_json: bool) -> int:
    """Print the planned runs of a call and what they cost; give its exit code."""
    from tabulate import tabulate

    from ..python.verbs import dry_run
    from ..running.memory_plan import memory_line
    from ..running.progress import duration

    grids = dry_run(call)
    if as_json:
        study = None if call.study is None else call.study.definition.name
        echo_json({"study": study, "grids": grids})
        return _dry_run_code(grids)
    headers = [
        "model",
        "core params",
        "embedding + head params",
        "puzzle-embedding params",
        "train FLOPs per run",
        "finished",
        "to run",
    ]
    for grid in grids:
        rows = [
            [
                model["model"],
                *(
                    f"{model[name]:,}"
                    for name in ("core_parameters", "io_parameters", "puzzle_embedding_parameters")
                ),
                f"{model['training_flops']:.2e}",
                model["finished"],
                model["to_run"],
            ]
            for model in grid["models"]
        ]
        echo(tabulate(rows, headers=headers))
        for model in grid["models"]:
            if model["memory"] is not None:
                echo(memory_line(model["model"], model["memory"]))
        at_least = ""
        if grid["seconds_at_least"] is not None:
            at_least = (
                f"; at least {duration(grid['seconds_at_least'])} at {grid['flops_per_second']:.2e} FLOP/s, "
                f"{grid['workers']} × this machine's matrix products"
            )
        echo(f"{grid['flops_to_do']:.2e} FLOPs to do{at_least}")
        for error in grid["failed"].values():
            echo(f"would fail: {error}", err=True)
    return _dry_run_code(grids)


def _dry_run_code(grids: Sequence[Mapping[str, Any]]) -> int:
    """1 where the run of a model would fail."""
    return 1 if any(grid["failed"] for grid in grids) else 0
