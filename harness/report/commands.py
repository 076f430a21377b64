"""The commands that make what a report shows, no more and no less."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..api.budget import Match
from ..api.errors import TrmBenchError
from ..planning.models import parse_variant
from ..planning.request import Request, read_requests
from .read import Reading, Run


def unread_requests(reading: Reading) -> list[str]:
    """A remark for each folder whose requests cannot be read: its commands are those that were typed."""
    problems = []
    for folder in dict.fromkeys(run.folder for run in reading.plain):
        try:
            read_requests(folder)
        except TrmBenchError as error:
            problems.append(str(error))
    return problems


def commands_of(reading: Reading) -> list[str]:
    """What to type for the runs that are shown, those included that did not finish."""
    folders: dict[Path, list[Run]] = {}
    for run in reading.plain:
        folders.setdefault(run.folder, []).append(run)
    usual = [_usual_folder(runs) for runs in folders.values()]
    of_studies = [run for _, runs in reading.studies.values() for run in runs]
    made = [
        command
        for place, (folder, runs) in enumerate(folders.items())
        # Two grids cannot share the folder that is written to by default.
        for command in _of_folder(folder, runs, named=usual.count(usual[place]) > 1)
    ]
    return list(dict.fromkeys([*made, *_typed(of_studies)]))


def _usual_folder(runs: Sequence[Run]) -> str:
    """Where `run` writes these by default."""
    identity = runs[0].manifest.identity
    return f"{identity.part('task').name}-{identity.scale}"


def _typed(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.manifest.command:
            yield " ".join(run.manifest.command)


def _of_folder(folder: Path, runs: Sequence[Run], named: bool) -> list[str]:
    """From the requests made of a folder, the latest first; where it has none, what was typed.

    ``named``: the commands name the folder.
    """
    try:
        requests = read_requests(folder)
    except TrmBenchError:  # only the command would come from it, see `unread_requests`
        requests = []
    wanted: dict[tuple[str, int], list[Run]] = {}
    for run in runs:  # several files of external weights are one model and seed
        wanted.setdefault((run.manifest.description.requested, run.manifest.identity.seed), []).append(run)
    start, commands = _start(runs), list[str]()
    for request in (one for one in reversed(requests) if one.split == "test"):  # `run` scores on test
        seeds: dict[tuple[int, ...], list[str]] = {}
        for text in request.models:
            model = str(parse_variant(text))
            mine = tuple(seed for seed in request.seeds if wanted.pop((model, seed), None) is not None)
            if mine:
                seeds.setdefault(mine, []).append(text)
        output = folder if named else None
        commands = [
            run_command(request, models, mine, start, output) for mine, models in seeds.items()
        ] + commands
    return [*commands, *dict.fromkeys(_typed([run for left in wanted.values() for run in left]))]


def _start(runs: Sequence[Run]) -> list[str]:
    """What was typed before the verb, such as ``--plugin FILE``."""
    typed = [run.manifest.command for run in runs if "run" in run.manifest.command]
    return shlex.split(" ".join(typed[0][1 : typed[0].index("run")])) if typed else []


def run_command(
    request: Request,
    models: Sequence[str],
    seeds: Sequence[int],
    start: Sequence[str] = (),
    output: Path | None = None,
) -> str:
    """The command line of a request for training, with some of its models and seeds.

    ``start`` is what comes before the verb, ``output`` the folder if it is to be named.
    """
    kept = {str(parse_variant(text)) for text in models}
    baseline = request.baseline if request.baseline and str(parse_variant(request.baseline)) in kept else None
    options = {
        "models": ",".join(models),
        "task": request.task,
        "scale": request.scale,
        "seeds": _ranges(request.seeds if request.until_decided else seeds),
        "source": request.source,
        "data": request.data,
        "augmentations": request.augmentations,
        "match": None if request.match is Match.STEPS else request.match.value,
        "baseline": baseline,
        "limit": request.limit,
        "evaluators": ",".join(request.evaluators) or None,
        "device": request.device,  # what `run` takes without it is another one on another machine
        "output": output,
    }
    words = ["trm-bench", *start, "run"]
    for name, value in options.items():
        words += [] if value is None else [f"--{name}", str(value)]
    words += ["--until-decided"] if request.until_decided else []
    for name, files in (("train", request.train), ("test", request.test)):
        words += [word for file in files for word in (f"--{name}", str(file))]
    words += [word for key, value in request.settings.items() for word in ("--set", f"{key}={value}")]
    return shlex.join(words)


def _ranges(seeds: Sequence[int]) -> str:
    """``0-4``, or ``0,2,7`` where they do not follow one another."""
    first, last = seeds[0], seeds[-1]
    whole = len(seeds) > 1 and list(seeds) == list(range(first, last + 1))
    return f"{first}-{last}" if whole else ",".join(map(str, seeds))
