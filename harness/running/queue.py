"""The runner of ``--on``: its name or a file of settings, and how jobs of it are followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ..api.errors import UsageError, nearest
from ..api.reading import load_yaml
from ..api.runners import JobState, RunnerSpec
from ..host.host import Host
from ..planning.settings import plain_words
from ..store.submitted import SubmittedRun, jobs_folder

USUAL = "slurm"
"""The runner of a file of settings that names none."""


@dataclass(frozen=True)
class Queue:
    """A runner and its settings."""

    spec: RunnerSpec
    settings: BaseModel

    @property
    def device(self) -> str | None:
        """Of the runs; None for the best of this machine, where they are carried out."""
        return self.spec.device(self.settings)

    def with_room(self, processes: int) -> Queue:
        """The runner with settings that have a core or GPU for each process of a run.

        Raises:
            UsageError: those that the user gave do not.
        """
        if processes == 1 or self.spec.with_room is None:
            return self
        return replace(self, settings=self.spec.with_room(self.settings, processes))

    def states(self, runs: Sequence[SubmittedRun], folder: Path) -> Mapping[str, JobState]:
        """What the runner knows of the jobs of some runs, by job."""
        return self.spec.states([run.job for run in runs], jobs_folder(folder)) if runs else {}


def read_queue(host: Host, on: str) -> Queue:
    """The runner that ``--on`` names: a runner, or a YAML file with its settings.

    Raises:
        UsageError: there is no such runner or file, or a setting is unknown or has a wrong value.
    """
    path = Path(on)
    if path.suffix not in (".yaml", ".yml"):
        spec = host.runners.get(on).spec
        return Queue(spec, _settings(f"--on {on}", spec, {}))
    content = _read(path)
    spec = host.runners.get(str(content.pop("runner", USUAL))).spec
    return Queue(spec, _settings(str(path), spec, content))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = load_yaml(path)
    except OSError as error:
        raise UsageError(f"--on {path}: cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--on {path}: no YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(content or {}, dict) or not all(isinstance(key, str) for key in content or {}):
        raise UsageError(f"--on {path}: write settings such as `partition: gpu`, one on each line")
    return dict(content or {})


def _settings(where: str, spec: RunnerSpec, content: Mapping[str, Any]) -> BaseModel:
    known = spec.config.model_fields
    for key in content:
        if key not in known:
            raise UsageError(f"{where}: {key}: unknown; {nearest(key, known)}")
    try:
        return spec.config(**content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {key}={first['input']!r}: {plain_words(first)}") from error


def queue_of(host: Host, name: str) -> Queue:
    """The runner of jobs that were submitted earlier: their state needs no settings.

    Raises:
        UsageError: the runner is not installed here.
    """
    spec = host.runners.get(name).spec
    return Queue(spec, spec.config.model_construct())
