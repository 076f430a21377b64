"""The plugin host: everything arrives through entry points, and no plugin can harm another."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from support.distributions import (
    BUILT_IN,
    HOOKIMPL,
    Install,
    everything,
    example,
    model_plugin,
    only,
    own_parts,
    write_distribution,
)
from support.paths import ROOT
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host import host as host_module
from trm_bench.harness.host.host import Found, Host, find_entry_points, selected
from trm_bench.harness.planning.planner import plan
from trm_bench.harness.planning.request import Request

# --- what is built in ----------------------------------------------------------------------------


def test_the_core_alone_knows_no_task_model_evaluator_or_reporter() -> None:
    host = Host([])
    assert [host.tasks.names(), host.models.names(), host.evaluators.names(), host.reporters.names()] == [
        []
    ] * 4


def test_the_built_ins_arrive_through_the_entry_points_of_our_own_distribution() -> None:
    host = only("trm-bench")
    assert own_parts(host) == BUILT_IN
    assert host.problems() == []
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["trm_bench"]
    assert {label.partition(":")[2] for label in host.plugins} == set(declared)
    assert all(plugin.hooks for plugin in host.plugins.values())


def test_our_own_entry_points_come_before_all_others(install: Install) -> None:
    install("aaa", model_plugin("first-in-the-alphabet"))
    owners = [found.distribution for found in find_entry_points()]
    assert "aaa" in owners
    assert owners == sorted(owners, key=lambda name: (name != "trm-bench", name))


def test_a_spec_leads_back_to_the_distribution_that_registered_it(install: Install) -> None:
    install("lab-models", model_plugin("lab-model"))
    part = everything().models.get("lab-model")
    assert part.full_name == "lab-models:lab-model"
    assert (part.plugin.label, part.plugin.version) == ("lab-models:plug", "1.0")
    assert part.plugin.hooks == ("trm_bench_register_models",)


# --- plugins that fail ---------------------------------------------------------------------------

BROKEN = {
    "raises at import": ("raise RuntimeError('libfoo is missing')", r"RuntimeError: libfoo is missing"),
    "exits at import": ("import sys; sys.exit(3)", r"SystemExit: 3"),
    "skips at import": (
        "import pytest; pytest.importorskip('libfoo')",
        r"Skipped: .*'libfoo'",
    ),
    "is not Python": ("def (:", r"SyntaxError"),
    "has a wrong hook argument": (
        model_plugin("half") + "@hookimpl\ndef trm_bench_report_ready(raport): pass",
        r"PluginValidationError: .*raport",
    ),
    "has an unknown hook": (
        model_plugin("half") + "@hookimpl\ndef trm_bench_register_tusks(): pass",
        r"PluginValidationError: unknown hook 'trm_bench_register_tusks'",
    ),
    "has no hook": (
        "def trm_bench_register_models(): return []",
        r"no trm_bench_ hook; is @hookimpl missing\?",
    ),
    "raises in its register hook": (
        HOOKIMPL + "@hookimpl\ndef trm_bench_register_models(): raise OSError('recipe.yaml is gone')",
        r"OSError: recipe.yaml is gone",
    ),
    "registers the wrong type": (
        HOOKIMPL + "@hookimpl\ndef trm_bench_register_models(): return ['half']",
        r"trm_bench_register_models must give ModelSpec, not str",
    ),
    "registers one right and one wrong": (
        model_plugin("half").replace(" for name in", ' if name else name for name in ("",) +'),
        r"trm_bench_register_models must give ModelSpec, not str",
    ),
    "registers a spec of another kind": (
        model_plugin("half").replace("register_models", "register_tasks"),
        r"trm_bench_register_tasks must give TaskSpec, not ModelSpec",
    ),
    "registers nothing at all": (
        HOOKIMPL + "@hookimpl\ndef trm_bench_register_models(): return None",
        r"TypeError: trm_bench_register_models must give an iterable of ModelSpec, not None",
    ),
}


@pytest.mark.parametrize(("source", "error"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_named_with_its_error_and_everything_else_works(
    source: str, error: str, install: Install
) -> None:
    install("aaa-good", model_plugin("works"))
    install("bad", source)
    install("zzz-good", model_plugin("works-too"))
    host = everything()
    assert re.search(error, host.plugins["bad:plug"].error or "")
    assert [problem.partition(": ")[0] for problem in host.problems()] == ["bad:plug"]
    assert {"works", "works-too"} <= set(host.models.names())
    assert "half" not in host.models.names()
    assert own_parts(host) == BUILT_IN


def test_an_error_is_one_line_and_its_trace_leads_to_the_plugins_line(install: Install) -> None:
    module = install("bad", "x = 1\nraise ValueError('first\\nsecond')\n")
    plugin = only("bad").plugins["bad:plug"]
    assert plugin.error == "ValueError: first second"
    assert f'{module}.py", line 2' in (plugin.trace or "")


@pytest.mark.parametrize("target", ["no_such_module_anywhere", "json:no_such_attribute"])
def test_an_entry_point_that_leads_nowhere_is_recorded(target: str, install: Install) -> None:
    install("bad", "", target=target)
    error = only("bad").plugins["bad:plug"].error
    assert error is not None
    assert target.removeprefix("json:") in error


def test_ctrl_c_during_an_import_is_not_taken_for_a_broken_plugin(install: Install) -> None:
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        only("slow")


def test_a_register_hook_that_exits_is_recorded(install: Install) -> None:
    install("bad", HOOKIMPL + "@hookimpl\ndef trm_bench_register_models(): raise SystemExit(3)")
    assert only("bad").plugins["bad:plug"].error == "SystemExit: 3"


def test_two_distributions_that_name_one_module_do_not_take_it_from_each_other(install: Install) -> None:
    module = install("first", model_plugin("shared"))
    install("second", "", target=module)
    host = only("first", "second")
    assert host.plugins["first:plug"].error is None
    assert host.models.get("first:shared").spec.name == "shared"


def test_a_dist_info_folder_without_metadata_does_not_stop_the_program(
    install: Install, tmp_path: Path
) -> None:
    install("good", model_plugin("works"))
    half = tmp_path / "site" / "half_uninstalled-1.0.dist-info"
    half.mkdir()
    (half / "entry_points.txt").write_text("[trm_bench]\nplug = no_longer_there\n")
    importlib.invalidate_caches()
    host = everything()
    assert "works" in host.models.names()
    (problem,) = host.problems()
    assert "no_longer_there" in problem


def test_an_entry_points_file_that_cannot_be_parsed_does_not_stop_the_program(
    install: Install, tmp_path: Path
) -> None:
    install("good", model_plugin("works"))
    write_distribution(tmp_path / "site", "bad", "this line has no equals sign")
    importlib.invalidate_caches()
    assert "works" in everything().models.names()


def test_metadata_that_cannot_be_read_are_not_looked_at_or_stop_nothing(
    install: Install, tmp_path: Path
) -> None:
    install("good", model_plugin("works"))
    for name, entries in (("old", ""), ("older", "[trm_bench]\nplug = no_longer_there\n")):
        folder = tmp_path / "site" / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_bytes(b"Metadata-Version: 2.1\nName: old\nAuthor: Jos\xe9\n")
        (folder / "entry_points.txt").write_text(entries)
    importlib.invalidate_caches()
    host = everything()
    assert "works" in host.models.names()
    (problem,) = host.problems()
    assert "no_longer_there" in problem


def test_what_no_exception_class_catches_in_a_hook_is_recorded_too(install: Install) -> None:
    """Extensions in Rust raise such, and so does pytest.skip."""
    source = "class Panic(BaseException): pass\n"
    for hook in ("trm_bench_register_models()", "trm_bench_register_commands(cli)"):
        source += f"@hookimpl\ndef {hook}: raise Panic('at once')\n"
    install("bad", HOOKIMPL + source)
    install("good", model_plugin("works"))
    host = everything()
    host.add_commands(click.Group())
    assert host.plugins["bad:plug"].error == "Panic: at once"
    assert "works" in host.models.names()


# --- names ---------------------------------------------------------------------------------------


def test_a_name_that_two_distributions_claim_belongs_to_neither_and_the_full_names_work(
    install: Install,
) -> None:
    install("one", model_plugin("twin", "only-one"))
    install("two", model_plugin("twin", "only-two"))
    host = everything()
    with pytest.raises(
        UsageError, match=r"'twin' is registered by one:plug and two:plug; use one:twin or two:twin"
    ):
        host.models.get("twin")
    assert "twin" not in host.models.names()
    assert host.models.get("one:twin").plugin.distribution == "one"
    assert host.models.get("two:twin").plugin.distribution == "two"
    assert {"only-one", "only-two"} <= set(host.models.names())
    assert own_parts(host) == BUILT_IN
    (problem,) = host.problems()
    assert "one:plug" in problem
    assert "two:plug" in problem


def test_a_plugin_cannot_take_the_name_of_a_built_in(install: Install) -> None:
    install("usurper", model_plugin("hrm"))
    host = everything()
    with pytest.raises(UsageError, match="trm-bench:hrm and usurper:plug"):
        host.models.get("hrm")
    assert host.models.get("trm-bench:hrm").plugin.distribution == "trm-bench"


def test_a_plugin_of_the_same_name_renames_none_of_our_runs_and_breaks_no_model_on_ours(
    install: Install,
) -> None:
    request = Request(models=("trm", "eqr"), task="sudoku-extreme", scale="mini", seeds=(0,))
    before = [run.name for run in plan(everything(), request).runs]
    install("usurper", model_plugin("trm-mlp"))
    assert [run.name for run in plan(everything(), request).runs] == before


def test_the_same_name_for_two_kinds_of_part_is_no_clash(install: Install) -> None:
    install("lab", model_plugin("maze-hard"))
    host = everything()
    assert host.problems() == []
    assert host.tasks.get("maze-hard").plugin.distribution == "trm-bench"
    assert host.models.get("maze-hard").plugin.distribution == "lab"


def test_a_clash_within_one_distribution_suggests_no_name_that_does_not_work(
    install: Install,
) -> None:
    install("lab", model_plugin("twin"), entry="first")
    install("lab", model_plugin("twin"), entry="second")
    with pytest.raises(UsageError) as caught:
        only("lab").models.get("twin")
    assert "use lab:twin" not in str(caught.value)


def test_a_plugin_that_takes_the_name_of_an_evaluator_does_not_break_the_tasks_that_use_it(
    install: Install,
) -> None:
    source = example("trm_bench_register_evaluators").replace('"first-cell"', '"exact"')
    install("lab", source)
    request = Request(models=("mirror",), task="tiny", scale="mini", seeds=(0,))
    (run,) = plan(everything(), request).runs
    (exact,) = (part for part in run.scored_by if part.name == "exact")
    assert (run.description.primary, exact.distribution) == ("exact", "trm-bench")


def test_a_second_evaluator_of_one_name_is_refused_where_a_run_would_keep_both_scores(
    install: Install,
) -> None:
    install("lab", example("trm_bench_register_evaluators").replace('"first-cell"', '"exact"'))
    request = Request(("mirror",), "tiny", "mini", (0,), evaluators=("lab:exact",))
    with pytest.raises(UsageError, match="evaluator lab:exact: runs keep scores by name"):
        plan(everything(), request)


def test_two_distributions_with_one_entry_point_name_are_both_found(install: Install) -> None:
    install("one", model_plugin("of-one"), entry="models")
    install("two", model_plugin("of-two"), entry="models")
    labels = {found.label for found in find_entry_points()}
    assert {"one:models", "two:models"} <= labels
    assert {"of-one", "of-two"} <= set(everything().models.names())


def test_a_distribution_that_lies_twice_on_the_path_counts_once(install: Install, tmp_path: Path) -> None:
    module = install("lab", model_plugin("lab-model"))
    elsewhere = write_distribution(tmp_path / "elsewhere", "lab", f"plug = {module}", version="0.9")
    sys.path.append(str(elsewhere))
    try:
        (found,) = [found for found in find_entry_points() if found.distribution == "lab"]
    finally:
        sys.path.remove(str(elsewhere))
    assert found.version == "1.0"  # the one that Python would import


def test_entry_points_of_other_groups_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_distribution(tmp_path / "site", "other", "")
    (folder / "other-1.0.dist-info" / "entry_points.txt").write_text("[pytest11]\nplug = other\n")
    monkeypatch.syspath_prepend(str(folder))
    assert "other" not in {found.distribution for found in find_entry_points()}


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("trm-mpl", "trm-mlp"), ("transfomer", "transformer"), ("trm-bench:hrn", "trm-bench:hrm")],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name: str, suggestion: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown model '{name}'; did you mean '{suggestion}'\?"):
        only("trm-bench").models.get(name)


def test_where_nothing_is_near_every_known_name_is_listed() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown task 'chess'; known: arc-agi-1, arc-agi-2, maze-hard, maze-unique, sudoku-extreme",
    ):
        only("trm-bench").tasks.get("chess")


# --- switching plugins off -----------------------------------------------------------------------


def found(distribution: str, name: str = "plug") -> Found:
    return Found(distribution, "1.0", EntryPoint(name, "json", "trm_bench"))


ENTRIES = [
    found("trm-bench", "trm"),
    found("trm-bench", "hrm"),
    found("lab"),
    found("lab", "extra"),
    found("club"),
]


@pytest.mark.parametrize(
    ("disabled", "left"),
    [
        ("", ["trm-bench:trm", "trm-bench:hrm", "lab:plug", "lab:extra", "club:plug"]),
        (" , ", ["trm-bench:trm", "trm-bench:hrm", "lab:plug", "lab:extra", "club:plug"]),
        ("lab", ["trm-bench:trm", "trm-bench:hrm", "club:plug"]),
        ("lab:extra", ["trm-bench:trm", "trm-bench:hrm", "lab:plug", "club:plug"]),
        ("lab:plug, club", ["trm-bench:trm", "trm-bench:hrm", "lab:extra"]),
        ("all", ["trm-bench:trm", "trm-bench:hrm"]),
        ("1", ["trm-bench:trm", "trm-bench:hrm"]),
        ("trm-bench:hrm", ["trm-bench:trm", "lab:plug", "lab:extra", "club:plug"]),
        ("no-such-plugin", ["trm-bench:trm", "trm-bench:hrm", "lab:plug", "lab:extra", "club:plug"]),
    ],
)
def test_plugins_are_switched_off_by_label_distribution_or_all_together(
    disabled: str, left: list[str]
) -> None:
    assert [entry.label for entry in selected(ENTRIES, disabled)] == left


def test_a_disabled_plugin_is_not_even_imported(install: Install) -> None:
    module = install("bad", "raise RuntimeError('imported')")
    host = Host(selected(find_entry_points(), "bad"))
    assert "bad:plug" not in host.plugins
    assert module not in sys.modules


@pytest.fixture
def fresh_host() -> Iterator[Callable[[], Host]]:
    """`host()` as in a new process."""
    host_module.host.cache_clear()
    yield host_module.host
    host_module.host.cache_clear()


def test_the_environment_switches_plugins_off(
    install: Install, monkeypatch: pytest.MonkeyPatch, fresh_host: Callable[[], Host]
) -> None:
    install("lab", model_plugin("lab-model"))
    monkeypatch.setenv("TRM_BENCH_DISABLE_PLUGINS", "all")
    host = fresh_host()
    assert {plugin.distribution for plugin in host.plugins.values()} == {"trm-bench"}
    assert fresh_host() is host


# --- strict mode ---------------------------------------------------------------------------------


def test_strict_mode_passes_where_nothing_is_wrong(install: Install) -> None:
    install("lab", model_plugin("lab-model"))
    assert "lab-model" in everything(strict=True).models.names()


def test_strict_mode_refuses_a_broken_plugin_by_name(install: Install) -> None:
    install("bad", "raise RuntimeError('libfoo is missing')")
    with pytest.raises(UsageError, match=r"strict plugin mode: bad:plug: RuntimeError: libfoo is missing"):
        everything(strict=True)


def test_strict_mode_refuses_a_clash(install: Install) -> None:
    install("one", model_plugin("twin"))
    install("two", model_plugin("twin"))
    with pytest.raises(
        UsageError, match=r"strict plugin mode: model 'twin' is registered by one:plug and two:plug"
    ):
        everything(strict=True)


@pytest.mark.parametrize(("value", "refused"), [("1", True), ("0", False), ("", False)])
def test_strict_mode_is_set_by_the_environment(
    value: str,
    refused: bool,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    fresh_host: Callable[[], Host],
) -> None:
    install("bad", "raise RuntimeError('libfoo is missing')")
    monkeypatch.setenv("TRM_BENCH_STRICT_PLUGINS", value)
    if refused:
        with pytest.raises(UsageError, match="libfoo"):
            fresh_host()
    else:
        assert fresh_host().plugins["bad:plug"].error is not None
