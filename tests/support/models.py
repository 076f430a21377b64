"""Models resolved by name: those that are built in, and made-up ones of made-up plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.specs import ModelSpec
from trm_bench.harness.host.host import OWN_DISTRIBUTION, Host, Part, Plugin, find_entry_points
from trm_bench.harness.planning.models import ResolvedModel, resolve_model

BUILT_IN = Host([found for found in find_entry_points() if found.distribution == OWN_DISTRIBUTION])


SUDOKU = TaskInfo("sudoku-extreme", "paper", 9, 9, 11)


MAZE = TaskInfo("maze-hard", "paper", 30, 30, 6)


SCALES = ("mini", "lite", "paper")


def resolve(text: str, task: TaskInfo = SUDOKU, **overrides: str) -> ResolvedModel:
    return resolve_model(BUILT_IN, text, task, overrides)


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(7, gt=0)
    depth: int = 7


def never_built(config: Config, task: TaskInfo) -> Any:
    raise NotImplementedError


def host_with(*specs: ModelSpec, distribution: str = "lab") -> Host:
    host = Host([])
    add(host, distribution, *specs)
    return host


def add(host: Host, distribution: str, *specs: ModelSpec) -> None:
    plugin = Plugin(f"{distribution}:plug", distribution, "1.0")
    host.models.parts.extend(Part(spec, plugin) for spec in specs)


def made(path: Path | None = None, name: str = "made") -> ModelSpec:
    return ModelSpec(name, "made up", config=Config, build=never_built, recipes=path)


def written(folder: Path, recipe: object) -> Path:
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path
