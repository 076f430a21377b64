"""Any command line ends within seconds, without a trace, and with a documented exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fuzzing import CODES, SECONDS, Watched, no_training, odd, watched
from trm_bench.harness.cli import VERBS, cli

__all__ = ["no_training", "odd", "watched"]

FILES = [
    *("empty", "nothing.json", "nothing.yaml", "text.csv", "bytes.bin", "deep.yaml", "deep.json", "deep.csv"),
    *("aliases.yaml", "unknown.yaml", "date.yaml", "tagged.yaml", "fifo", "loop", "gone", "/dev/null", "."),
]
NINES = "9" * 6000
ODD = [
    *("", " ", "-", "--", "=", ",", "[", "]", "\udcff", "\x1b[31m", "é" * 300, "a" * 5000, "\u0663", "../.."),
    *("0", "-1", "1.5", "nan", "inf", "-inf", "1e309", "9" * 30, NINES, "0-2999999", "0-4," * 3000 + "1"),
    *("trm", "copy", "trm[", "trm[]", "trm[cycles=99999999999999999999]", f"trm[hidden={NINES}]"),
    *(f"copy[augment={NINES}]", "copy[match=trm]", "trm[match=flops:copy]", "hrm[recipe=gone]", "copy,copy"),
    *("maze-hard", "tiny", "mini", "full", "exact", "text", "json", "official", "steps", "examples", "cuda"),
    *("steps=0", f"steps={NINES}", "lr=nan", "lr=1e400", "threads=1000000000", "votes=9", "margin=nan"),
    *(f"task_seed={NINES}", "batch_size=1e9", "a=b", "=b", "trm=Ours", "compile=maybe", "puzzle_ids=own"),
]
BASE: dict[str, list[str]] = {
    "run": ["--models", "copy", "--task", "tiny", "--limit", "3", "--seeds", "0"],
    "tune": ["--models", "mirror", "--task", "tiny", "--limit", "3", "--seeds", "0", "--grid", "lr=0.1,0.2"],
    "speed": ["--models", "copy", "--task", "tiny"],
    "prepare": ["--task", "tiny"],
    "evaluate": ["--weights", "bytes.bin", "--model", "mirror", "--task", "tiny"],
    "solve": ["1111", "--weights", "bytes.bin", "--task", "tiny"],
    "export": ["empty", "--output", "out.pt"],
    "report": ["empty"],
    "compare": ["trm", "hrm", "empty"],
    "score": ["deep.json", "--task", "arc-agi-1"],
    "show": ["empty"],
    "new-plugin": ["made-here"],
    "check": ["copy"],
    "resume": ["empty"],
}


def parameters(verb: str) -> list[click.Parameter]:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    return [one for one in command.params if one.name != "help"]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A verb with what it needs, and one to three odd values in its options or arguments."""
    verb = draw(st.sampled_from(list(VERBS)))
    words = [verb, *BASE.get(verb, [])]
    for _ in range(draw(st.integers(1, 3))):
        parameter: Any = draw(st.sampled_from(parameters(verb)))
        value = draw(st.sampled_from([*ODD, *FILES]))
        if isinstance(parameter, click.Option):
            words += [parameter.opts[-1]] if parameter.is_flag else [parameter.opts[-1], value]
        elif len(words) > 1 and not words[1].startswith("-"):
            words[1] = value
        else:
            words.append(value)
    return words


@pytest.mark.slow
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(words=command_lines())
def test_any_command_line_ends_as_documented(words: list[str], watched: Watched, odd: Path) -> None:
    if words[0] == "check" and words[1].startswith(("trm", "maze-hard")):
        words[1] = "copy"  # all checks of a model that is trained take a while
    watched(*words)


@pytest.mark.slow
@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("option", ["--models", "--seeds", "--set", "--output", "--task", "--evaluators"])
def test_every_odd_value_of_a_run_ends_as_documented(
    option: str, value: str, watched: Watched, odd: Path
) -> None:
    base = BASE["run"]
    watched("run", *base, option, value, *([] if option == "--output" else ["--output", "some"]))


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "words",
    [
        ("run", *BASE["run"], "--config"),
        ("run", "--study"),
        ("run", "--models", "copy", "--task", "sudoku-extreme", "--output", "o", "--data"),
        ("prepare", "--task", "arc-agi-1", "--data"),
        ("--plugin",),
        ("report",),
        ("cite",),
        ("show",),
        ("resume",),
        ("compare", "trm", "hrm"),
        ("score", "--task", "arc-agi-1"),
        ("evaluate", "--model", "mirror", "--task", "tiny", "--weights"),
        ("solve", "--task", "tiny", "--model", "mirror", "1111", "--weights"),
    ],
    ids=" ".join,
)
def test_every_odd_file_is_read_or_refused(
    words: tuple[str, ...], file: str, watched: Watched, odd: Path
) -> None:
    ended = watched(*words, file, *(["list"] if words == ("--plugin",) else []))
    if file not in (".", "nothing.yaml") and words[0] != "cite":
        assert ended.code != 0, ended.out


HEAVY = [
    ("run", "--study", "aliases.yaml"),
    ("run", "--models", "trm[cycles=99999999999999999999]", "--task", "tiny"),
    ("run", "--models", "copy", "--task", "tiny", "--seeds", "0-2999999"),
    ("score", "deep.json", "--task", "arc-agi-1"),
]


MEASURED = """
import resource, subprocess, sys
ended = subprocess.run([sys.executable, "-c", sys.argv[1]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(ended.returncode)
"""
"""Prints the kB that a program took; a child of the tests' own process would begin with what that one has."""


@pytest.mark.slow
@pytest.mark.parametrize("words", HEAVY, ids=" ".join)
def test_in_a_process_of_its_own_it_takes_less_than_a_gigabyte(words: tuple[str, ...], odd: Path) -> None:
    program = (
        f"import sys; sys.argv = ['trm-bench', *{words!r}]; from trm_bench.harness.cli import main; main()"
    )
    line = [sys.executable, "-c", MEASURED, program]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=6 * SECONDS, env=os.environ)
    assert ended.returncode in CODES - {0}, ended.stderr
    assert "Traceback" not in ended.stderr
    assert int(ended.stdout.split()[-1]) < 1 << 20, "kB"
