"""Run what the tutorial, "write a model" and README tell the reader to type, in order, in one folder.

Long commands run at a smaller size (`SMALLER`); blocks that are not run are in `NOT_RUN`, with the reason. A
new block is run as it is, and an entry of these tables that matches nothing is an error.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from support.documents import Block, fenced
from support.paths import ROOT, TESTS, python_path

SHELL = ("sh", "bash", "console", "shell")
SHOWN = ("text", "yaml", "bibtex", "json", "toml")
"""Languages of blocks that are read, not run: output and files."""
NOT_RUN = {
    ("README.md", "make bench"): "the tutorial runs its command at a smaller size",
    ("README.md", "python3 -m venv .venv"): "continuous integration installs it in a new environment",
    ("docs/tutorial.md", "python3 -m venv .venv"): "continuous integration installs it in a new environment",
}
"""Blocks by their first line."""
INTERRUPTED = "# press Ctrl-C"
"""A command with this comment gets SIGINT as soon as its first new run has started."""


@dataclass(frozen=True)
class Smaller:
    """Type ``instead`` in place of ``text`` in the blocks of a document; a dry run is typed as it is."""

    document: str
    text: str
    instead: str


DOCUMENTS = ("docs/tutorial.md", "docs/write-a-model.md", "README.md")
"""In this order, in one folder: README evaluates the weights of the tutorial."""
TINY = "--seeds 0 --limit 16 --set steps=8"
SMALLER = [
    Smaller("docs/tutorial.md", "--seeds 0-2 --set steps=300", TINY),
    Smaller("docs/tutorial.md", "s0-* --weights results/first/trm-mlp-s1-*", "s0-*"),  # there is one seed
    Smaller("docs/tutorial.md", "trm-mlp-s1-*", "trm-mlp-s0-*"),
    Smaller("docs/tutorial.md", "--weights results/first/trm-mlp-s2-* --steps 1,2,4,6,12", "--steps 1,12"),
    Smaller("docs/write-a-model.md", "my-model,transformer", "my-model"),
    Smaller("docs/write-a-model.md", "--seeds 0-2 --set steps=300", TINY),
    Smaller("docs/write-a-model.md", "pytest my-model", "pytest my-model -k is_a_model"),  # the other trains
    Smaller("README.md", "--grid lr=0.001,0.002,0.004", "--grid lr=0.001,0.002,0.004 --dry-run"),
    Smaller("README.md", 'looped" --task sudoku-extreme', 'looped" --task sudoku-extreme --dry-run'),
    Smaller("README.md", "--output results/by-flops", "--output results/by-flops --dry-run"),
    Smaller("README.md", "--scale paper --data DIR", "--scale paper --data official --dry-run"),
    Smaller("README.md", "the-gain-is --seeds 0-2", "the-gain-is --seeds 0-2 --dry-run"),
    Smaller("README.md", "sudoku-extreme-mini --steps 1,2,4,8,16", "first/trm-mlp-s0-* --steps 2"),
    Smaller("README.md", "sudoku-extreme-mini/RUN", "first/trm-mlp-s0-*"),
]
MODULE = "DOCUMENTED_MODULE"
"""The variable that names what the command `trm-bench` starts."""
TRAINED = 6
"""Runs that all this trains: five in the tutorial, one of "write a model"."""


def _heed_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, tests too, and so would the reader's commands."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Reader:
    """A reader who types what a document says, in a folder that looks like a checkout.

    The commands are real, except for ``pip``: tests change no environment and contact no index, so an
    installation here puts the package and its entry points into a folder on the path.
    """

    folder: Path
    used: set[tuple[str, str]] = field(default_factory=set)
    printed: str = ""
    """What all commands wrote to stdout and stderr."""

    def __post_init__(self) -> None:
        for name in ("bin", "site", "results"):
            (self.folder / name).mkdir()
        for name in ("mini", "studies"):
            (self.folder / "results" / name).symlink_to(ROOT / "results" / name)
        self._put_command("trm-bench", f'exec "{sys.executable}" -m "${{{MODULE}:-support.here}}" "$@"')
        self._put_command("pytest", f'exec "{sys.executable}" -m pytest -q -p no:cacheprovider "$@"')
        (self.folder / "pip.py").write_text(PIP)
        self._put_command("pip", f'exec "{sys.executable}" "{self.folder}/pip.py" "$@"')

    def _put_command(self, name: str, line: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": python_path(self.folder / "site", TESTS),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "110",
        }

    def type(self, block: Block) -> None:
        """Run a block; a Python block whose first line is a path replaces that file."""
        if block.language != "python":
            for line in self.lines(block):
                self.run(["bash", "-euo", "pipefail", "-c", line], block)
            return
        path = re.match(r"# (\S+\.py)\n", block.code)
        if path is None:
            self.run([sys.executable, "-c", block.code], block)
            return
        assert (self.folder / path[1]).exists(), f"there is no file {path[1]} to replace"
        (self.folder / path[1]).write_text(block.code)

    def lines(self, block: Block) -> list[str]:
        """The commands of a block, at the size of a test."""
        code = block.code.replace("\\\n", " ")
        for smaller in SMALLER:
            if smaller.document == block.document and smaller.text in code and "--dry-run" not in block.code:
                self.used.add((smaller.document, smaller.text))
                code = code.replace(smaller.text, smaller.instead)
        lines = [code] if "<<" in code else code.splitlines()
        return [line for line in lines if line.strip()]

    def run(self, command: list[str], block: Block) -> None:
        where = f"{block.document}, block at line {block.line}: {command[-1]}"
        started = subprocess.Popen(
            command,
            cwd=self.folder,
            # To be interrupted, a command starts a process for each run, as usual; the others save the time.
            env=self.environment() | ({MODULE: "trm_bench"} if INTERRUPTED in command[-1] else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )
        expected = 0
        if INTERRUPTED in command[-1]:
            self.wait_for_a_run(started)
            os.killpg(started.pid, signal.SIGINT)
            expected = 130
        out, err = started.communicate(timeout=600)
        assert started.returncode == expected, f"{where}\nended with {started.returncode}\n{out}\n{err}"
        self.printed += out + err

    def wait_for_a_run(self, started: subprocess.Popen[str]) -> None:
        """Wait until the command has started one more run than there were."""
        before = self.manifests()
        while self.manifests() == before:
            assert started.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.02)

    def manifests(self) -> list[Path]:
        """The manifests of all runs but the kept ones."""
        own = [path for path in (self.folder / "results").iterdir() if not path.is_symlink()]
        return sorted(manifest for path in own for manifest in path.rglob("manifest.json"))


PIP = dedent(
    """
    import shutil, sys, tomllib
    from pathlib import Path

    install, editable, folder = sys.argv[1:]
    assert (install, editable) == ("install", "-e"), sys.argv
    site, source = Path(__file__).parent / "site", Path(folder)
    project = tomllib.loads((source / "pyproject.toml").read_text())
    for package in project["tool"]["setuptools"]["packages"]:
        shutil.copytree(source / package, site / package)
    name, version = project["project"]["name"], project["project"]["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    points = project["project"]["entry-points"]["trm_bench"]
    lines = [f"{key} = {value}" for key, value in points.items()]
    (info / "entry_points.txt").write_text("\\n".join(["[trm_bench]", *lines, ""]))
    """
)


def put_files(folder: Path) -> None:
    """Write the files that README takes for the reader's own: official tables, a puzzle, a submission."""
    from support.sudoku import good
    from trm_bench.plugins.arc.packaged import REVISIONS, packaged

    good(folder / "official")
    (folder / "puzzle.txt").write_text("S#...\n..#.#\n#....\n..#.#\n.#..G\n")
    black = {"attempt_1": [[0]], "attempt_2": [[0]]}
    tasks = packaged(REVISIONS["arc-agi-1"][0]).evaluation
    submission = {task.id: [black for _ in task.test] for task in tasks}
    (folder / "submission.json").write_text(json.dumps(submission))


@pytest.mark.slow
def test_the_examples_in_the_documents_work(tmp_path: Path) -> None:
    reader, left = Reader(tmp_path), dict(NOT_RUN)
    put_files(tmp_path)
    for block in [block for document in DOCUMENTS for block in fenced(document)]:
        first = block.code.split("\n")[0].split("#")[0].strip()
        if block.language not in SHOWN and left.pop((block.document, first), None) is None:
            reader.type(block)
    assert not left
    assert reader.used == {(smaller.document, smaller.text) for smaller in SMALLER}
    assert {json.loads(path.read_text())["status"] for path in reader.manifests()} == {"done"}
    trained = [path for path in reader.manifests() if (path.parent / "model.safetensors").exists()]
    assert len(trained) == TRAINED
    check_printed(reader)


def check_printed(reader: Reader) -> None:
    """The tutorial's dry run, and the output and recipe of "write a model", are what the commands give."""
    (recipe,) = [block for block in fenced("docs/write-a-model.md") if block.language == "yaml"]
    written = (reader.folder / "my-model" / "my_model" / "recipes.yaml").read_text()
    assert yaml.safe_load(recipe.code) == yaml.safe_load(written)
    shown = [block.code for block in fenced("docs/write-a-model.md") if block.language == "text"]
    assert len(shown) == 2
    for output in shown:
        assert output in reader.printed
    dry_run = next(block.code for block in fenced("docs/tutorial.md") if block.language == "text")
    *lines, speed = dry_run.splitlines()
    assert re.search(r" FLOPs to do; at least .* at .* FLOP/s", speed)
    for line in lines:
        assert line in reader.printed.splitlines()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_either_run_or_shown(document: str) -> None:
    for block in fenced(document):
        assert block.language in (*SHELL, *SHOWN, "python"), f"{document}:{block.line}: {block.language!r}"
