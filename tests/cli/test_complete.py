"""What a shell is offered: verbs, options, and names of models, tasks, studies and runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import CompletionItem, ShellComplete
from support.distributions import write_distribution
from support.shell import environment
from trm_bench.harness.cli import cli

VARIABLE = "_TRM_BENCH_COMPLETE"


def offers(*words: str) -> list[CompletionItem[str]]:
    """What is offered for the last of some words."""
    return ShellComplete(cli, {}, "trm-bench", VARIABLE).get_completions(list(words[:-1]), words[-1])


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("rep",), {"report"}),
        (("run", "--mod"), {"--models"}),
        (("run", "--models", "mir"), {"mirror"}),
        (("run", "--models", "copy,mir"), {"copy,mirror"}),
        (("run", "--models", "trm[cycles=2,augment=3],mir"), {"trm[cycles=2,augment=3],mirror"}),
        (("run", "--models", "trm[cyc"), set()),
        (("run", "--task", "ti"), {"tiny"}),
        (("run", "--task=ti",), {"tiny"}),
        (("run", "--evaluators", "exact,maze-v"), {"exact,maze-valid"}),
        (("run", "--study", "where"), {"where-the-gain-is"}),
        (("tune", "--models", "copy,mir"), {"copy,mirror"}),
        (("evaluate", "--model", "mir"), {"mirror"}),
        (("evaluate", "--halt", "t"), {"threshold"}),
        (("solve", "--task", "sudo"), {"sudoku-extreme"}),
        (("score", "--task", "arc-agi-2"), {"arc-agi-2"}),
        (("report", "--format", "mark"), {"markdown"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_names_are_completed(words: tuple[str, ...], names: set[str]) -> None:
    assert {item.value for item in offers(*words)} == names


@pytest.mark.parametrize(
    "words",
    [
        ("report", ""),
        ("resume", ""),
        ("compare", "a", "b", ""),
        ("cite", ""),
        ("show", ""),
        ("export", ""),
        ("evaluate", "--weights", ""),
        ("solve", "--weights", ""),
    ],
    ids=lambda words: words[0],
)
def test_runs_are_completed_by_the_shell_as_paths(words: tuple[str, ...]) -> None:
    assert [item.type for item in offers(*words)] == ["file"]


def test_a_name_comes_with_what_list_says_of_it() -> None:
    (item,) = offers("run", "--task", "ti")
    assert item.help == "mirror a row"


PROGRAM = """
import atexit, sys
from trm_bench.harness.cli import main
heavy = ("torch", "scipy", "pandas", "numba")
atexit.register(lambda: print("HEAVY", [name for name in heavy if name in sys.modules]))
main([])
"""


def typed(*words: str, **more: str) -> tuple[int, str]:
    """The exit code of a process as the shell starts it, what it printed, and what heavy it imported."""
    line = {"COMP_WORDS": " ".join(["trm-bench", *words]), "COMP_CWORD": str(len(words))}
    own = environment(**{VARIABLE: "bash_complete"}, **line, **more)
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, env=own, check=False)
    return ended.returncode, ended.stdout


def test_the_shell_gets_names_and_nothing_heavy_is_imported() -> None:
    assert typed("run", "--models", "mir") == (0, "plain,mirror\nHEAVY []\n")


@pytest.mark.slow
def test_a_broken_plugin_gives_fewer_names_and_no_error(tmp_path: Path) -> None:
    write_distribution(tmp_path, "broken-plugin", "bad = broken_plugin")
    (tmp_path / "broken_plugin.py").write_text("print('noise')\nraise SystemExit('no such luck')\n")
    paths = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    assert typed("run", "--models", "mir", PYTHONPATH=paths) == (0, "plain,mirror\nHEAVY []\n")
    strict = typed("run", "--models", "mir", PYTHONPATH=paths, TRM_BENCH_STRICT_PLUGINS="1")
    assert strict == (0, "\nHEAVY []\n")
