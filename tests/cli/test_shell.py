"""The command line in a pipe, and in terminals that are narrow, plain or not UTF-8; and `env`."""

from __future__ import annotations

import ast
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import click
import pytest
from support.distributions import write_distribution
from support.folders import three_models
from support.paths import ROOT
from support.shell import environment, printed, shell, strictly
from support.stored import asked, command, run, runs
from support.studies import QUICK, write_yaml
from trm_bench.harness.cli import VERBS, cli, terminal
from trm_bench.testing.pytest_plugin import RunCli

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
DRY_RUN = ("run", "--task", "tiny", "--models", "mirror", "--dry-run", "--output", "FOLDER-×")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder of three models and three seeds."""
    path = tmp_path_factory.mktemp("shell") / "made"
    three_models(path)
    return path


# --- any text in any encoding --------------------------------------------------------------------


def signs_of_the_package() -> set[str]:
    """Every sign beyond ASCII in a text or table of the package; LaTeX and what no terminal sees aside."""
    found: set[str] = set()
    for part in ("harness", "plugins", "trm", "hrm_baseline"):
        for path in (ROOT / part).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                text = isinstance(node, ast.Constant) and isinstance(node.value, str)
                if text and id(node) not in documents and path.name != "as_latex.py":
                    found.update(node.value)
        for path in (ROOT / part).rglob("*.yaml"):
            found.update(path.read_text(encoding="utf-8"))
    return {sign for sign in found if not sign.isascii() and sign.isprintable()}


def test_every_sign_that_the_package_prints_has_one_in_ascii() -> None:
    signs = signs_of_the_package()
    assert signs >= set("×·–−Δ≤…")
    assert [sign for sign in signs if not terminal.in_ascii(sign).isascii()] == []


def test_columns_stay_in_line_in_ascii_where_they_have_room() -> None:
    table = "A − B          Δ  p\n-----  ---------  -\na         +12.5  1\nb     6.0 ≤ 16  1"
    lines = terminal.in_ascii(table).splitlines()
    assert lines[0] == "A - B       diff  p"
    assert lines[3] == "b    6.0 <= 16  1"
    assert terminal.in_ascii("    … code") == "    ... code"  # an indentation is no column


def test_what_an_encoding_lacks_becomes_a_question_mark_and_never_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for encoding, written in (("latin-1", b"x | \xe9 ?"), ("utf-8", "× · é ☃".encode())):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        terminal.prepare()
        terminal.echo("× · é ☃")
        stream.flush()
        assert stream.buffer.getvalue() == written + b"\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("report", "FOLDER"),
        ("report", "FOLDER", "--format", "markdown"),
        ("compare", "trm-mlp", "hrm", "FOLDER"),
        DRY_RUN,
    ],
    ids=" ".join,
)
def test_verbs_print_legibly_in_any_encoding(encoding: str, words: tuple[str, ...], folder: Path) -> None:
    words = tuple(word.replace("FOLDER", str(folder)) for word in words)
    usual, plain = printed("utf-8", *words), printed(encoding, *words)
    assert plain[0] == usual[0] == 0, plain
    text = plain[1].decode(encoding)
    assert "Ã" not in text  # UTF-8 taken for something else
    assert "\\" not in text
    assert text.count("?") == usual[1].decode().count("?")
    plain[2].decode(encoding)


@pytest.mark.slow
def test_a_real_locale_without_unicode_gets_ascii(folder: Path) -> None:
    ended = shell("report", folder, **C_LOCALE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.isascii()
    assert ended.stdout == printed("ascii", "report", folder)[1]


def test_a_report_in_ascii_has_its_columns_where_they_were(folder: Path) -> None:
    usual, plain = (printed(name, "report", folder)[1].decode().splitlines() for name in ("utf-8", "ascii"))
    (place,) = [number for number, line in enumerate(usual) if line.startswith("A − B") and "Holm" in line]
    assert plain[place].startswith("A - B")
    assert "diff" in plain[place]
    table = slice(place, place + 5)
    assert [len(line) for line in plain[table]] == [len(line) for line in usual[table]]
    assert plain[place].index("95 %") == usual[place].index("95 %")


def test_an_error_is_legible_in_a_locale_without_unicode() -> None:
    ended = shell("show", "nöwhere×", **C_LOCALE)
    assert ended.returncode == 4
    assert re.match(rb"error: n(\?|\\udc..)+wherex?(\?|\\udc..)*: no such folder", ended.stderr)


def test_a_page_is_utf8_as_it_says_in_any_locale(folder: Path) -> None:
    usual, plain = (printed(name, "report", folder, "--format", "html")[1] for name in ("utf-8", "ascii"))
    assert b'<meta charset="utf-8">' in plain
    assert "−" in plain.decode("utf-8")
    assert plain.split(b"<svg")[0] == usual.split(b"<svg")[0]


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_that_reports_has_json(verb: str) -> None:
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None
    assert "--json" in [option for parameter in found.params for option in parameter.opts]


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("plugins",),
        ("show", "RUN"),
        ("report", "FOLDER"),
        ("compare", "trm-mlp", "hrm", "FOLDER"),
        ("cite", "FOLDER"),
        ("prepare", "--task", "tiny"),
        DRY_RUN,
    ],
    ids=lambda words: words[0],
)
def test_json_is_the_same_in_latin1_and_alone_on_stdout(words: tuple[str, ...], folder: Path) -> None:
    run = next(path for path in sorted(folder.iterdir()) if path.is_dir())
    words = tuple(word.replace("FOLDER", str(folder)).replace("RUN", str(run)) for word in words)
    usual, plain = (printed(encoding, *words, "--json") for encoding in ("utf-8", "latin-1"))
    assert plain[0] == usual[0] == 0, plain
    assert plain[1].isascii()
    assert strictly(plain[1]) == strictly(usual[1].decode())


def test_numbers_that_json_cannot_write_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.echo_json({"a": [float("nan"), float("-inf"), 0.5], "b": (1, "ü")})
    out = capsys.readouterr().out
    assert strictly(out) == {"a": [None, None, 0.5], "b": [1, "ü"]}
    assert "ü" in out
    terminal.echo_report('{"a": NaN, "b": "NaN"}', "json")
    assert strictly(capsys.readouterr().out) == {"a": None, "b": "NaN"}


@pytest.mark.slow
def test_a_dry_run_says_the_same_in_json(tmp_path: Path, run_cli: RunCli) -> None:
    line = ("run", "--task", "tiny", "--models", "mirror,copy", "--seeds", "0-1", "--dry-run")
    content = strictly(run_cli(*line, "--output", tmp_path / "out", "--json").out)
    (grid,) = content["grids"]
    assert (content["study"], grid["task"], grid["seeds"]) == (None, "tiny", [0, 1])
    assert [(row["model"], row["finished"], row["to_run"]) for row in grid["models"]] == [
        ("mirror", 0, 2),
        ("copy", 0, 2),
    ]
    flops = [row["training_flops"] for row in grid["models"]]
    assert flops[1] == 0
    assert grid["flops_to_do"] == 2 * flops[0] > 0
    assert grid["seconds_at_least"] == pytest.approx(grid["flops_to_do"] / grid["flops_per_second"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_dry_run_of_a_study_has_every_grid(tmp_path: Path, run_cli: RunCli) -> None:
    grids = {"main": {"settings": {"steps": 2}}, "long": {"settings": {"steps": 4}}}
    study = write_yaml(tmp_path / "study.yaml", {**QUICK, "grids": grids})
    content = strictly(
        run_cli("run", "--study", study, "--dry-run", "--json", "--output", tmp_path / "o").out
    )
    assert content["study"] == "quick"
    assert {grid["grid"]: grid["budget"]["amount"] for grid in content["grids"]} == {"main": 2, "long": 4}
    assert not (tmp_path / "o").exists()


def test_export_says_in_json_what_it_wrote(tmp_path: Path) -> None:
    (one,) = runs(run(tmp_path / "run", asked("trm-att")))
    ended = command("export", one.folder, "--output", tmp_path / "trm.safetensors", "--json")
    content = strictly(ended.out)
    assert content["run"] == str(one.folder)
    assert content["model"].startswith("trm-att")
    assert Path(content["weights"]).is_file()
    assert Path(content["configuration"]).is_file()


@pytest.mark.slow
def test_cite_says_in_json_what_each_entry_is_of(tmp_path: Path) -> None:
    output = run(tmp_path / "run", asked("trm-att"), asked("trm-mlp"))
    content = strictly(command("cite", output, "--json").out)
    assert content[0]["of"] == ["trm-bench"]
    assert content[1]["of"] == ["model trm-bench:trm-att", "model trm-bench:trm-mlp"]
    assert content[1]["bibtex"].startswith("@")


@pytest.mark.slow
def test_what_a_plugin_prints_in_a_hook_is_not_in_the_json(tmp_path: Path, folder: Path) -> None:
    write_distribution(tmp_path, "chatty", "chatty = chatty")
    (tmp_path / "chatty.py").write_text(
        "from trm_bench import hookimpl\n@hookimpl\ndef trm_bench_report_ready(report): print('HEARD')\n"
    )
    paths = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    ended = shell("report", folder, "--json", PYTHONPATH=paths)
    assert b"HEARD" in ended.stderr
    assert strictly(ended.stdout.decode())["tables"]


# --- narrow, plain and gone ----------------------------------------------------------------------


def in_a_terminal(line: list[str], columns: int = 120, **more: str) -> tuple[int, str]:
    """The exit code of a command in a terminal, and everything that it wrote there."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**more)
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux says so that the other side is closed
                break
            if not part:
                break
            written += part
    os.close(ours)
    return process.returncode, written.decode(errors="replace").replace("\r\n", "\n")


PROGRESS = dedent(
    """
    from trm_bench.harness.cli.terminal import prepare
    from trm_bench.harness.running.progress import GridProgress, console
    from trm_bench.harness.store.records import Status
    prepare()
    with GridProgress(console(), {"mirror-s0-91496a56": (1.0, 0.0)}, 1) as grid:
        grid.started("mirror-s0-91496a56")
        grid.metrics("mirror-s0-91496a56", {"spent": 0.5, "loss": 0.25})
        grid.bars.refresh()
        grid.finished("mirror-s0-91496a56", Status.DONE, None)
    """
)
MOVING = [sys.executable, "-c", PROGRESS]


@pytest.mark.parametrize(
    "plain", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}]
)
def test_progress_in_a_plain_terminal_is_lines_without_codes(plain: dict[str, str]) -> None:
    code, text = in_a_terminal(MOVING, **plain)
    assert code == 0, text
    assert "\x1b" not in text
    assert "[1/1] mirror-s0-91496a56: done" in text


def test_progress_moves_in_a_terminal_and_an_empty_no_color_means_nothing() -> None:
    code, text = in_a_terminal(MOVING, NO_COLOR="")
    assert code == 0, text
    assert "\x1b[" in text
    assert "━" in text
    _, plain = in_a_terminal(MOVING, PYTHONIOENCODING="ascii")
    assert "\x1b[" in plain
    assert plain.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("words", [("list",), ("--help",), ("run", "--help"), ("plugins",)], ids=" ".join)
def test_verbs_use_no_codes_in_a_terminal_or_a_pipe(words: tuple[str, ...]) -> None:
    code, text = in_a_terminal([sys.executable, "-m", "trm_bench", *words], NO_COLOR="1")
    assert code == 0
    assert "\x1b" not in text
    assert b"\x1b" not in shell(*words).stdout


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_fits_a_narrow_terminal(
    verb: str | None, monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    monkeypatch.setenv("COLUMNS", "52")
    text = run_cli(*([verb] if verb else []), "--help").out
    long = [line for line in text.splitlines() if len(line) > 52 and not line.startswith("      trm-bench ")]
    names = [line for line in long if " " not in line.strip()]  # which cannot be broken
    assert long == names


def test_an_example_in_a_help_can_be_copied(monkeypatch: pytest.MonkeyPatch, run_cli: RunCli) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = [line.strip() for line in run_cli("run", "--help").out.splitlines()]
    assert "trm-bench run --models trm,hrm,transformer --task maze-hard" in lines
    lines = [line.strip() for line in run_cli("export", "--help").out.splitlines()]
    assert any(
        line.startswith("trm-bench export results/") and line.endswith("trm.safetensors") for line in lines
    )


@pytest.mark.parametrize("words", [("report", "FOLDER"), DRY_RUN], ids=lambda words: words[0])
def test_tables_and_messages_are_as_wide_as_they_are(
    words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tuple(word.replace("FOLDER", str(folder)) for word in words)
    written = []
    for columns in ("300", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        written.append(printed("utf-8", *words))
    assert written[0] == written[1]


@pytest.mark.slow
@pytest.mark.parametrize("words", [("list",), ("report", "FOLDER"), ("run", "--help"), ("list", "--json")])
def test_a_closed_pipe_ends_it_quietly(words: tuple[str, ...], folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "trm_bench", *(word.replace("FOLDER", str(folder)) for word in words)]
    ended = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, env=environment(), check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_an_error_to_a_closed_pipe_keeps_its_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "trm_bench", "show", "nowhere"]
    ended = subprocess.run(line, stdout=subprocess.PIPE, stderr=writer, env=environment(), check=False)
    os.close(writer)
    assert (ended.returncode, ended.stdout) == (4, b"")


@pytest.mark.slow
def test_results_to_a_closed_stdout_are_no_success(folder: Path) -> None:
    line = [sys.executable, "-m", "trm_bench", "report", str(folder)]
    ended = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *line], env=environment(), check=False)
    assert ended.returncode == 1


# --- env -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_env_says_what_a_bug_report_needs_and_no_secret(own_cache: Path) -> None:
    ended = shell("env", "--json", HF_TOKEN="hf_verysecret")
    content = strictly(ended.stdout)
    assert re.fullmatch(r"\S+, source [0-9a-f]{12}", content["trm-bench"])
    assert content["cache"] == str(own_cache)
    assert "tiny-plugin:tiny 1.0" in content["plugins"]
    assert content["libraries"]["torch"] in content["torch"]
    assert "Python version: " + ".".join(map(str, sys.version_info[:3])) in content["torch"]
    assert "Is CUDA available" in content["torch"]
    assert b"verysecret" not in ended.stdout


@pytest.mark.slow
def test_env_names_a_plugin_that_is_broken(tmp_path: Path) -> None:
    write_distribution(tmp_path, "broken-plugin", "bad = broken_plugin")
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no such luck')\n")
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"}
    lines = shell("env", **paths).stdout.decode().splitlines()
    assert "problem: broken-plugin:bad: RuntimeError: no such luck" in lines
    strict = strictly(shell("env", "--json", TRM_BENCH_STRICT_PLUGINS="1", **paths).stdout)
    assert "no such luck" in strict["problems"][0]


def test_env_says_what_is_wrong_with_torch_instead_of_failing(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: cannot open shared object file')\n")
    ended = shell("env", PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    assert ended.returncode == 0, ended.stderr
    assert b"torch cannot be used: OSError: libcudart.so" in ended.stdout


def test_a_working_folder_that_was_deleted_is_named(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    ended = run_cli("list")
    assert ended.code == 4
    assert "the working folder is not there any more" in ended.err
