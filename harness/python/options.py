"""The options of `trm_bench.run` and `evaluate`, which are those of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from ..api.errors import UsageError
from ..api.text import path_problem
from ..planning.models import split_models
from ..planning.request import Value
from ..training.gpus import Gpus

MOST_JOBS = 1024
"""Processes side by side."""
NAMING = ("device", "scale", "source", "baseline", "on", "split", "select", "model", "weights_key", "task")
PLACES = ("data", "output", "train", "test")
"""Options that are a name, and that are paths: an empty one is a mistake, and not the default."""
PathLike = str | Path
Names = str | Sequence[str]
Seeds = str | int | Iterable[int]


class CommonOptions(TypedDict, total=False):
    """Options that several functions share; one that a function cannot use is refused.

    Attributes:
        source: where the puzzles come from; by default the task's at that scale, or as in training.
        data: folder of official files.
        train, test: files to train on and to test on, instead of what the folder holds.
        scale: mini, small, lite or paper; by default mini, or as in training.
        limit: only the first N test and validation puzzles, and N votes; the results are marked not citable.
        evaluators: further evaluators, in addition to the task's own.
        device: auto, cpu, cuda, cuda:N (one GPU) or mps.
        gpus: numbers of the GPUs to use, e.g. ``"0,2"`` or ``[0, 2]``; by default every visible one.
        on: where the runs are carried out: a runner (see `trm-bench list runners`) or a YAML file with its
            settings; by default in processes of this call.
        jobs: processes side by side; by default one per core, or one per GPU, which is the most there.
        output: output folder; by default ``results/TASK-SCALE``, with ``-evaluated`` for an evaluation
            (``-evaluated-validation`` on that split) and ``-tune`` for `tune`.
        progress: print what is done and an estimate, to stderr.
        settings: any other setting, e.g. ``{"steps": 200, "lr": 1e-3}``; also taken as keywords.
        command: what manifests keep as the command.
    """

    source: str | None
    data: PathLike | None
    train: PathLike | Sequence[PathLike] | None
    test: PathLike | Sequence[PathLike] | None
    scale: str | None
    limit: int | None
    evaluators: Names
    device: str
    gpus: Gpus | None
    on: PathLike | None
    jobs: int | None
    output: PathLike | None
    progress: bool
    settings: Mapping[str, Value]
    command: tuple[str, ...]


class RunOptions(CommonOptions, total=False):
    """Options of `run`.

    Attributes:
        study: name of a study or a YAML file, instead of models and task.
        seeds: training seeds, e.g. ``"0-4"`` or ``range(5)``; by default 0 to 4, or the study's.
        augmentations: A, augmentations per puzzle, the puzzle itself included.
        match: what is made equal between models: steps, examples or flops.
        baseline: the one of the models that all others are compared with; by default every pair is compared.
        until_decided: run 5, 8 and 10 seeds of each model, until every test is decided; ``seeds`` then names
            at least 10.
        force: repeat finished runs.
    """

    study: PathLike | None
    seeds: Seeds | None
    augmentations: int | None
    match: str | None
    baseline: str | None
    until_decided: bool
    force: bool


class TuneOptions(CommonOptions, total=False):
    """Options of `tune`.

    Attributes:
        seeds: training seeds of every setting; by default 0 to 2.
        tries: settings for each model, drawn from the grid; by default all of them.
        shuffle: seed of that draw; 0 by default.
        augmentations: A, augmentations per puzzle, the puzzle itself included.
        match: what is made equal between models: steps, examples or flops.
        force: repeat finished runs.
    """

    seeds: Seeds | None
    tries: int | None
    shuffle: int
    augmentations: int | None
    match: str | None
    force: bool


class EvaluateOptions(CommonOptions, total=False):
    """Options of `evaluate`.

    Attributes:
        steps: supervision steps, e.g. ``"1,2,4,8"``; each is a row, and all are read in one pass.
        halting: also evaluate each with puzzles stopping by the model's own rule.
        rollouts: answers per puzzle, e.g. ``"1,4,16"``; each is a row.
        noise: σ of the noise that is added to the state before every supervision step, e.g. ``"0.1,0.3"``;
            each is a row.
        noise_on: the part of the state that gets it, or both; by default the model's usual one.
        noise_seed: of the noise, and of the numbers that a stochastic model draws; 0 by default.
        select: which of several answers counts: first, mode, q or residual.
        model: architecture of external weights, e.g. ``trm[cycles=3]``.
        weights_key: which weights of a file that holds several, e.g. ``model_state_dict``; by default the
            averaged ones.
        as_seeds: whether several files of external weights are seeds of one model, not a row each.
        split: the puzzles to evaluate on, test (the default) or validation.
        task: of external weights.
    """

    steps: str | int | Iterable[int] | None
    halting: bool
    rollouts: str | int | Iterable[int] | None
    noise: str | float | Iterable[float] | None
    noise_on: str | None
    noise_seed: int | None
    select: str | None
    model: str | None
    weights_key: str | None
    as_seeds: bool
    split: str
    task: str | None


def settings_of(options: Mapping[str, Any], kind: Any) -> dict[str, Value]:
    """The settings of a call: its ``settings``, and every keyword that is no option of its kind.

    Raises:
        UsageError: ``settings`` is no mapping, a setting is None, or another option is empty.
    """
    _refuse_empty(options)
    keywords = {key: value for key, value in options.items() if key not in all_options(kind)}
    settings = options.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise UsageError(f"settings={settings!r}: write a mapping, such as {{'steps': 200}}")
    given = {**settings, **keywords}
    for key, value in given.items():
        if value is None:
            raise UsageError(f"setting {key}=None: leave it out for the default")
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in given.items()}


def _refuse_empty(options: Mapping[str, Any]) -> None:
    for name in NAMING:
        if options.get(name) == "":
            raise UsageError(f"--{name.replace('_', '-')} is empty: give a value, or leave it out")
    for name in PLACES:
        given = options.get(name)
        for one in given if isinstance(given, list | tuple) else [given]:
            if isinstance(one, str) and (problem := path_problem(one)) is not None:
                raise UsageError(f"--{name} {one!r}: {problem}")
    evaluators = options.get("evaluators")
    if isinstance(evaluators, str) and evaluators and not names_of(evaluators):
        raise UsageError(f"--evaluators {evaluators!r}: names none; leave it out, or write names by comma")


def refuse_options(call: str, options: Mapping[str, Any], *names: str) -> None:
    """Options that mean nothing in a call.

    Raises:
        UsageError: one of them was given.
    """
    for name in names:
        if options.get(name) not in (None, (), ""):
            raise UsageError(f"{call}: {name}={options[name]} means nothing here; leave it out")


def count_of(options: Mapping[str, Any], option: str) -> int | None:
    """An option that is a number of things.

    Raises:
        UsageError: it is no whole number from 1.
    """
    value = options.get(option)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise UsageError(f"--{option} {value}: not a whole number from 1")
    if option == "jobs" and int(value) > MOST_JOBS:
        raise UsageError(f"--jobs {value}: at most {MOST_JOBS:,} processes side by side")
    return int(value)


def all_options(kind: Any) -> set[str]:
    """The names of the options of a function."""
    return set(kind.__required_keys__ | kind.__optional_keys__)


def names_of(value: Names) -> tuple[str, ...]:
    """Names by comma, or one by one; commas in brackets belong to a model's options.

    Raises:
        UsageError: one is no text.
    """
    texts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"{text!r} is no name")
    return tuple(name for text in texts for name in split_models(text))


def paths_of(value: PathLike | Sequence[PathLike] | None) -> tuple[Path, ...]:
    """One or several paths, where they are given.

    Raises:
        UsageError: one is no path.
    """
    if value is None:
        return ()
    several = [value] if isinstance(value, str | Path) or not isinstance(value, Sequence) else value
    return tuple(_path(one) for one in several)


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or isinstance(value, bytes):
        raise UsageError(f"{value!r} is no path")
    return Path(value)


def path_of(value: PathLike | None) -> Path | None:
    """A path, where one is given."""
    return None if value is None else _path(value)
