"""Studies of plugins, and how they are listed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.distributions import HOOKIMPL, Install
from support.stored import in_this_process
from support.studies import QUICK, write_yaml
from trm_bench.harness.host.host import host
from trm_bench.testing.pytest_plugin import RunCli


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    with in_this_process():
        yield


def test_list_has_the_question_of_each_study(run_cli: RunCli) -> None:
    out = run_cli("list", "studies").out
    (studies,) = json.loads(run_cli("list", "studies", "--json").out).values()
    assert {study["name"] for study in studies} >= {"depth", "identity", "less-is-more", "votes"}
    for study in studies:
        assert re.search(rf"^  {study['name']} +{re.escape(study['summary'])}$", out, re.MULTILINE)
        assert study["summary"].endswith("?")
    assert "studies:" in run_cli("list").out


@pytest.fixture
def broken(install: Install, tmp_path: Path) -> Iterator[Path]:
    """A plugin with one study that can be read and one that cannot."""
    bad, good = tmp_path / "bad.yaml", write_yaml(tmp_path / "good.yaml", QUICK)
    bad.write_text("name: [")
    source = HOOKIMPL + (
        "from pathlib import Path\nfrom trm_bench import StudySpec\n"
        "@hookimpl\ndef trm_bench_register_studies():\n"
        f"    return [StudySpec('bad', 'bad', Path({str(bad)!r})),"
        f" StudySpec('quick', 'quick', Path({str(good)!r}))]\n"
    )
    install("lab", source)
    host.cache_clear()
    yield bad
    host.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("broken")
def test_a_study_of_a_plugin_is_run_by_its_name(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli("run", "--study", "quick", "--limit", "8", "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "\n- Is a mirror better?" in ended.out
    assert run_cli("run", "--study", "lab:quick", "--output", tmp_path / "out", "--dry-run").code == 0


def test_a_study_that_cannot_be_read_is_named_when_it_is_run(broken: Path, run_cli: RunCli) -> None:
    ended = run_cli("run", "--study", "bad")
    assert ended.code == 2
    assert f"study {broken}: not YAML" in ended.err


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_list_prints_everything_in_spite_of_a_study_that_cannot_be_read(
    more: tuple[str, ...], broken: Path, run_cli: RunCli
) -> None:
    ended = run_cli("list", *more)
    assert ended.code == 0
    for name in ("maze-hard", "trm-mlp", "markdown", "where-the-gain-is", "quick", "bad"):
        assert name in ended.out + ended.err
