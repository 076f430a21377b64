"""What a shell is offered: verbs, options, and names of models, tasks and runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import RunCli, write_distribution
from shell_parts import environment, shell
from trm_bench.harness.cli import COMPLETE_VARIABLE, cli
from trm_bench.harness.cli.completion import PLACES, Bash, Fish, Zsh

HEAVY = ("torch", "scipy", "pandas", "statsmodels", "numba")

Offer = Callable[..., list[str]]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """What bash is offered for the last of some words."""

    def offered(*words: str, kind: type[Bash] | type[Zsh] | type[Fish] = Bash) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", "\n".join(["trm-bench", *words]))
        monkeypatch.setenv("COMP_CWORD", words[-1] if kind is Fish else str(len(words)))
        return kind(cli, {}, "trm-bench", COMPLETE_VARIABLE).complete().splitlines()

    return offered


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with runs in it, one of them with a space in its name."""
    marks = (
        "results/mini/maze/study.json",
        "results/mini/maze/trm-s0-11/manifest.json",
        "results/mini/maze/trm-s0-11/inner/manifest.json",
        "results/mini/maze/hrm-s0-22/manifest.json",
        "results/depth/definition.json",
        "results/depth/main/study.json",
        "results/.hidden/study.json",
        "my runs/study.json",
        "my runs/copy-s0-33/manifest.json",
        "other/readme.txt",
    )
    for mark in marks:
        (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / mark).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def as_bash_splits(words: tuple[str, ...]) -> list[str]:
    """Words as bash counts them: ``=`` and ``:`` are words of their own."""
    return [part for word in words for part in (re.findall(r"[=:]+|[^=:]+", word) or [""])]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("rep",), {"report"}),
        (("compl",), {"completion"}),
        (("run", "--mod"), {"--models"}),
        (("run", "--models", "mir"), {"mirror"}),
        (("run", "--models", "copy,mir"), {"copy,mirror"}),
        (("run", "--models", "mirror,mir"), set()),
        (("run", "--models", "trm[cycles=2],mir"), {"trm[cycles=2],mirror"}),
        (("run", "--models", "trm[cycles=2,augment=3],mir"), {"trm[cycles=2,augment=3],mirror"}),
        (("run", "--models", "trm[cyc"), set()),
        (("run", "--models", "trm[cycles=2]"), set()),
        (("run", "--models", "tiny-plugin:mir"), {"mirror"}),
        (("run", "--task", "ti"), {"tiny"}),
        (
            (
                "run",
                "--task=ti",
            ),
            {"tiny"},
        ),
        (("run", "--task", "tiny", "--scale", ""), {"mini"}),
        (("run", "--scale", "p"), {"paper"}),
        (("run", "--task", "arc-agi-1", "--source", "p"), {"packaged"}),
        (("run", "--task", "tiny", "--evaluators", "last"), {"last-cell"}),
        (("run", "--task", "maze-hard", "--evaluators", "last"), set()),
        (("run", "--evaluators", "exact,maze-v"), {"exact,maze-valid"}),
        (("run", "--study", "where"), {"where-the-gain-is"}),
        (("run", "--device", "cu"), {"cuda"}),
        (("run", "--match", "fl"), {"flops"}),
        (("evaluate", "--model", "mir"), {"mirror"}),
        (("solve", "--task", "sudo"), {"sudoku-extreme"}),
        (("report", "--format", "mark"), {"markdown"}),
        (("score", "--task", "arc-agi-2"), {"arc-agi-2"}),
        (("check", "mir"), {"mirror"}),
        (("completion", "z"), {"zsh"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_names_are_completed(words: tuple[str, ...], wanted: set[str], offer: Offer) -> None:
    split = as_bash_splits(words)
    offered = {line.removeprefix("plain,") for line in offer(*split)}
    stays = words[-1].removesuffix(split[-1]).removeprefix("--task=")  # bash leaves it where it is
    assert offered == {name.removeprefix(stays) for name in wanted}


MAZE, DEPTH, MAIN = "plain,results/mini/maze", "plain,results/depth", "plain,results/depth/main"
MINE = r"plain,my\\ runs"
"""With a backslash more than the shell is to get, since the script reads one away."""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("report", "results/m"), [MAZE]),
        (("report", ""), [DEPTH, MAIN, MAZE, MINE]),
        (("report", "results/mini/maze", "results/m"), [f"{MAZE}/hrm-s0-22", f"{MAZE}/trm-s0-11"]),
        (("resume", "my"), [MINE]),
        (("cite", "./results/m"), ["plain,./results/mini/maze"]),
        (("show", "results/mini/maze/t"), [f"{MAZE}/trm-s0-11"]),
        (("export", "my"), [f"{MINE}/copy-s0-33"]),
        (("evaluate", "--weights", "my"), [MINE, f"{MINE}/copy-s0-33"]),
        (("compare", "mir"), ["plain,mirror"]),
        (("compare", "mirror", "results/mi"), [MAZE]),
        (("compare", "mirror", "copy", "results/mi"), [MAZE]),
        (("report", "ot"), ["dir,ot"]),
        (("show", "nowhere/x"), ["dir,nowhere/x"]),
        (("solve", "--weights", "ot"), ["file,ot"]),
        (("run", "--study", "ot"), ["file,ot"]),
        (("run", "--output", "ot"), ["file,ot"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_runs_are_completed(words: tuple[str, ...], wanted: list[str], workspace: Path, offer: Offer) -> None:
    del workspace
    assert offer(*words) == wanted


def test_runs_are_found_from_within_and_from_afar(
    workspace: Path, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offer("show", f"{workspace}/results/mini/maze/h") == [
        f"plain,{workspace}/results/mini/maze/hrm-s0-22"
    ]
    monkeypatch.chdir(workspace / "results" / "mini" / "maze")
    assert offer("report", "") == ["plain,."]
    assert offer("show", "") == ["plain,hrm-s0-22", "plain,trm-s0-11"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_left_out(workspace: Path, offer: Offer) -> None:
    locked = workspace / "results" / "mini"
    locked.chmod(0)
    try:
        assert offer("report", "results/") == ["plain,results/depth", "plain,results/depth/main"]
    finally:
        locked.chmod(0o755)


def test_a_loop_of_links_ends(workspace: Path, offer: Offer) -> None:
    (workspace / "results" / "mini" / "loop").symlink_to(workspace / "results")
    assert "plain,results/mini/maze" in offer("report", "results/m")


def test_the_other_shells_get_the_words_of_list_beside_each_name(offer: Offer) -> None:
    zsh = offer("run", "--task", "ti", kind=Zsh)
    assert zsh == ["plain", "tiny", "mirror a row"]
    assert offer("run", "--task", "ti", kind=Fish) == ["plain,tiny\tmirror a row"]


def test_a_broken_plugin_gives_fewer_names_and_never_an_error(tmp_path: Path) -> None:
    write_distribution(tmp_path, "broken-plugin", "bad = broken_plugin")
    source = "print('noise')\nimport sys\nprint('more', file=sys.stderr)\nraise SystemExit('no such luck')\n"
    (tmp_path / "broken_plugin.py").write_text(source)
    paths = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    asks = {COMPLETE_VARIABLE: "bash_complete", "PYTHONPATH": paths, "TRM_BENCH_STRICT_PLUGINS": "1"}

    def offered(*words: str) -> subprocess.CompletedProcess[bytes]:
        line = {"COMP_WORDS": "\n".join(["trm-bench", *words]), "COMP_CWORD": str(len(words))}
        return shell(**asks, **line)

    for words, wanted in (
        (("run", "--models", "mir"), b"plain,mirror\n"),
        (("sho",), b"plain,show\n"),
        (("--no-plugins", "run", "--models", "mir"), b"\n"),
        (("--plugin", "nowhere.py", "run", "--models", "mir"), b"plain,mirror\n"),
        (("nonsense", "--x", ""), b"\n"),
    ):
        ended = offered(*words)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, wanted, b""), words


def test_completion_imports_nothing_heavy() -> None:
    program = "import sys\nfrom trm_bench.harness.cli import main\n"
    program += "try:\n    main([])\nexcept SystemExit as ended:\n    assert not ended.code\n"
    program += f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    for words in (("",), ("run", "--models", ""), ("report", ""), ("solve", "--weights", ""), ("check", "")):
        line = {"COMP_WORDS": "\n".join(["trm-bench", *words]), "COMP_CWORD": str(len(words))}
        asks = environment(**{COMPLETE_VARIABLE: "bash_complete"}, **line)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=asks, check=True)
        assert done.stdout.splitlines()[-1] == b"HEAVY []", words


@pytest.mark.parametrize("name", list(PLACES))
def test_the_script_is_on_stdout_and_where_it_goes_on_stderr(name: str, run_cli: RunCli) -> None:
    ended = run_cli("completion", name)
    assert ended.code == 0
    assert COMPLETE_VARIABLE in ended.out
    assert f"{name}_complete" in ended.out
    assert f"trm-bench completion {name} > ~/." in ended.err
    assert run_cli("completion", "csh").code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_itself_completes_with_the_script(workspace: Path) -> None:
    bin_ = workspace / "bin"
    bin_.mkdir()
    (bin_ / "trm-bench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trm_bench "$@"\n')
    (bin_ / "trm-bench").chmod(0o755)
    program = dedent(
        """
        source <(trm-bench completion bash 2>/dev/null)
        complete -p trm-bench
        try() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            $(complete -p trm-bench | sed 's/.*-F \\([^ ]*\\) .*/\\1/') trm-bench
            printf '<%s>' "${COMPREPLY[@]}"; echo
        }
        try trm-bench run --models 'trm[cycles' = '2],mir'
        try trm-bench run --task = ti
        try trm-bench report my
        try trm-bench report '"my'
        try trm-bench show results/mini/maze/
        """
    )
    path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=environment(PATH=path))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("complete -o nosort -F _trm_bench_completion"), done.stderr
    assert lines[1:] == [
        "<2],mirror>",
        "<tiny>",
        r"<my\ runs>",
        "<my runs>",
        "<results/mini/maze/hrm-s0-22><results/mini/maze/trm-s0-11>",
    ]
