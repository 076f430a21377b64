"""Distributions made by hand, for the tests of the plugin host."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from trm_bench.harness.api import hookspecs
from trm_bench.harness.host.host import Host, find_entry_points
from trm_bench.harness.report.table import Report

BUILT_IN_TASKS = {"arc-agi-1", "arc-agi-2", "maze-hard", "maze-unique", "sudoku-extreme"}
BUILT_IN_MODELS = {
    *("copy", "hrm", "transformer", "transformer-looped", "trm", "trm-att", "trm-mlp"),
    *("eqr", "eqr-att", "eqr-mlp", "urm"),
}
BUILT_IN_EVALUATORS = {
    *("cells", "exact", "maze-shortest", "maze-valid", "single", "sudoku-valid"),
    *(f"pass@{k}" for k in (1, 2, 5, 10, 100, 1000)),
}
BUILT_IN_REPORTERS = {"csv", "html", "json", "latex", "markdown", "text"}
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("trm_bench_"))
EMPTY_REPORT = Report((), (), (), ())

Install = Callable[..., str]


def model_plugin(*names: str) -> str:
    """The source of a plugin that registers models of these names."""
    return dedent(
        f"""
        from pydantic import BaseModel
        from trm_bench import ModelSpec, hookimpl

        class Config(BaseModel):
            width: int = 1

        def build(config, task):
            raise NotImplementedError

        @hookimpl
        def trm_bench_register_models():
            return [ModelSpec(name, "a model", config=Config, build=build) for name in {names!r}]
        """
    )


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution of one module; its entry point is called ``plug`` unless ``entry`` is given."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: list[str] = []

    def one(distribution: str, source: str, entry: str = "plug", target: str = "") -> str:
        module = f"made_{distribution.replace('-', '_')}_{entry}"
        (site / f"{module}.py").write_text(source)
        modules.append(module)
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        if info.exists():
            with (info / "entry_points.txt").open("a") as stream:
                stream.write(f"{entry} = {target or module}\n")
        else:
            write_distribution(site, distribution, f"{entry} = {target or module}")
        importlib.invalidate_caches()
        return module

    yield one
    for module in modules:
        sys.modules.pop(module, None)


def everything(*, strict: bool = False) -> Host:
    return Host(find_entry_points(), strict=strict)


def only(*distributions: str) -> Host:
    return Host([found for found in find_entry_points() if found.distribution in distributions])


def own_parts(host: Host) -> tuple[set[str], ...]:
    """Names of the tasks, models, evaluators and reporters that come with trm-bench."""
    registries = (host.tasks, host.models, host.evaluators, host.reporters)
    return tuple(
        {part.spec.name for part in registry.parts if part.plugin.distribution == "trm-bench"}
        for registry in registries
    )


BUILT_IN = (BUILT_IN_TASKS, BUILT_IN_MODELS, BUILT_IN_EVALUATORS, BUILT_IN_REPORTERS)


HOOKIMPL = "from trm_bench import hookimpl\n"


def example(hook: str) -> str:
    """The source of the example in a hook's docstring."""
    doc = inspect.getdoc(getattr(hookspecs, hook)) or ""
    return "".join(piece.source for piece in doctest.DocTestParser().get_examples(doc))


def write_distribution(folder: Path, name: str, entry_points: str, version: str = "1.0") -> Path:
    """A folder that looks to Python like an installed distribution."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[trm_bench]\n{entry_points}\n")
    return folder
