"""The documents are complete, their links and paths resolve, and the program accepts their commands."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from support.distributions import HOOKS, example
from support.documents import DOCUMENTS, PAGES, fenced, named, text
from support.paths import ROOT
from trm_bench.harness.api import errors, hookspecs
from trm_bench.harness.cli import VERBS, cli
from trm_bench.harness.host.host import host
from trm_bench.harness.host.plugin_files import VARIABLE as PLUGIN_FILES
from trm_bench.harness.host.plugin_files import take_plugin_options
from trm_bench.harness.planning.models import COMMON_OPTIONS
from trm_bench.harness.planning.settings import OWN_KEYS
from trm_bench.harness.planning.study import Contrast, GridDefinition, StudyDefinition, checked
from trm_bench.harness.training.config import ExecutionConfig, TrainingConfig
from trm_bench.testing import evaluators, models, reporters, tasks

import trm_bench
from trm_bench import ModelSpec

RESULTS = sorted((ROOT / "results" / "studies").glob("*.md"))


def prose(name: str) -> str:
    """A document without its fenced blocks, the number of lines unchanged."""
    return re.sub(
        r"^```.*\n(?:.*\n)*?```$", lambda match: "\n" * match[0].count("\n"), text(name), flags=re.M
    )


# --- complete --------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    page = text("docs/hooks.md")
    assert f"| `{hook}({arguments})` |" in page
    assert f"\n### `{hook}({arguments})`\n" in page


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_a_hook_is_the_one_that_is_tested(hook: str) -> None:
    section = text("docs/hooks.md").partition(f"\n### `{hook}(")[2].partition("\n#")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(example(hook)))


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_and_option_is_documented(verb: str) -> None:
    page = text("docs/cli.md")
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    assert f"`{verb}" in page
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[-1]}" in page, f"{verb} {parameter.opts[-1]}"


def test_every_option_before_the_verb_is_documented() -> None:
    options = [name for option in cli.params for name in option.opts if isinstance(option, click.Option)]
    assert {"--no-plugins", "--plugin"} <= set(options)
    for option in options:
        assert re.search(rf"`(trm-bench )?{option}\b", text("docs/cli.md")), option


SETTINGS = [
    *(*OWN_KEYS, *TrainingConfig.model_fields, *ExecutionConfig.model_fields),
    *{
        key
        for part in host().tasks.parts
        if part.plugin.distribution == "trm-bench"
        for key in part.spec.options
    },
]


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_every_key_of_set_is_documented(key: str) -> None:
    assert f"`{key}`" in text("docs/cli.md").partition("## evaluate")[0]


OWN_MODELS = [part.spec for part in host().models.parts if part.plugin.distribution == "trm-bench"]


@pytest.mark.parametrize("model", OWN_MODELS, ids=lambda spec: spec.name)
def test_every_option_of_a_model_is_documented(model: ModelSpec) -> None:
    own = [] if model.config is None else [*model.config.model_fields, *model.aliases]
    for option in [*own, *COMMON_OPTIONS]:
        assert re.search(rf"`{option}[`=]", text("docs/models.md")), option


@pytest.mark.parametrize(
    "key", [*StudyDefinition.model_fields, *GridDefinition.model_fields, *Contrast.model_fields]
)
def test_every_key_of_a_study_is_documented(key: str) -> None:
    (example,) = [block for block in fenced("docs/studies.md") if block.language == "yaml"]
    checked(yaml.safe_load(example.code), "docs/studies.md")
    assert re.search(rf"\b{key}:|`{key}`", example.code + prose("docs/studies.md"))


def test_every_environment_variable_is_documented() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "harness").rglob("*.py"))
    variables = set(re.findall(r'"(TRM_BENCH_[A-Z_]+[A-Z])"', sources))
    assert "TRM_BENCH_CACHE" in variables
    for variable in variables - {PLUGIN_FILES}:  # which --plugin sets for the processes of runs
        assert f"\n| `{variable}` | " in text("docs/cli.md")


def test_every_exit_code_is_documented() -> None:
    codes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    table = text("docs/cli.md").partition("## Exit codes")[2]
    assert codes == {1, 2, 3, 4}
    for code in (0, 130, *codes):
        assert f"\n| {code} | " in table


def test_every_built_in_name_is_in_the_readme_or_on_its_page() -> None:
    pages = text("README.md") + text("docs/models.md") + text("docs/studies.md")
    for registry in (host().tasks, host().models, host().studies):
        for part in registry.parts:
            if part.plugin.distribution == "trm-bench":
                assert f"`{part.spec.name}`" in pages, part.spec.name


def test_every_check_of_a_plugin_is_documented() -> None:
    page = text("docs/testing.md")
    kinds = (models.CHECKS, tasks.CHECKS, evaluators.CHECKS, reporters.CHECKS)
    names = [check.words for checks in kinds for check, _ in checks]
    assert len(names) > 30
    for name in names:
        assert f"\n| {name} |" in page


def test_the_version_of_the_plugin_interface_is_documented() -> None:
    stable = text("docs/hooks.md").partition("## What is stable")[2]
    assert f'at present `"{trm_bench.API_VERSION}"`' in stable


# --- links -----------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    counts: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(named(path)), flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        counts[slug] = counts.get(slug, 0) + 1
    return {
        f"{slug}-{number}" if number else slug for slug, count in counts.items() for number in range(count)
    }


@pytest.mark.parametrize("document", [*DOCUMENTS, *RESULTS], ids=named)
def test_links_within_the_repository_resolve(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", prose(named(document))):
        file, _, anchor = target.partition("#")
        linked = document.parent / file if file else document
        assert linked.exists(), f"{named(document)} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{named(document)} links to {target}"


PATH_IN_TEXT = re.compile(r"`((?:benchmarks|docs|harness|plugins|testing|tests|trm|hrm_baseline)/[\w./-]+)`")
IN_COMMAND = re.compile(r"(?<![\w/-])((?:benchmarks|tests)/[\w/]+\.py)\b")


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_paths_in_the_repository_exist(document: Path) -> None:
    for path in {*PATH_IN_TEXT.findall(text(named(document))), *IN_COMMAND.findall(text(named(document)))}:
        assert (ROOT / path).exists(), f"{named(document)} names {path}"


def test_anchors_are_githubs() -> None:
    assert {"where-and-when", "trm_bench_grid_startedgrid", "what-is-stable"} <= anchors(
        ROOT / "docs/hooks.md"
    )
    assert "1-a-project-that-works" in anchors(ROOT / "docs/write-a-model.md")
    assert "write-a-model-in-ten-minutes" in anchors(ROOT / "docs/write-a-model.md")


def test_the_index_links_to_every_page() -> None:
    listed = set(re.findall(r"\]\(([^)#]+\.md)\)", prose("docs/index.md")))
    assert listed == {path.relative_to(ROOT / "docs").as_posix() for path in PAGES} - {"index.md"}


# --- commands --------------------------------------------------------------------------------------


def commands(document: Path) -> list[str]:
    """Every call of trm-bench in a document's blocks, up to a pipe or a redirection."""
    blocks = [
        line
        for block in fenced(named(document))
        if block.language != "text"
        for line in block.code.splitlines()
    ]
    blocks += re.findall(r"^    +(trm-bench .*)$", prose(named(document)), flags=re.MULTILINE)
    whole = "\n".join(blocks).replace("\\\n", " ")
    calls = re.findall(r"(?:^|[|(] *)(trm-bench [^|>\n]*)", whole, flags=re.MULTILINE)
    return [call.rstrip(" )") for call in calls]


@pytest.mark.parametrize("document", [*DOCUMENTS, *RESULTS], ids=named)
def test_the_command_line_accepts_every_command(document: Path) -> None:
    for line in commands(document):
        arguments, _ = take_plugin_options(shlex.split(line, comments=True)[1:])
        verb, *rest = [argument for argument in arguments if argument != "--no-plugins"]
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None, f"{named(document)}: {line}"
        try:
            command.make_context(verb, rest)
        except click.exceptions.Exit:  # of --help
            pass
        except click.ClickException as error:
            raise AssertionError(f"{named(document)}: {line}: {error.format_message()}") from error


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_option_in_a_text_exists(document: Path) -> None:
    verbs = [command for verb in VERBS if (command := cli.get_command(click.Context(cli), verb)) is not None]
    known = {name for command in (cli, *verbs) for option in command.params for name in option.opts}
    for option in re.findall(r"`(?:trm-bench )?(--[a-z][a-z-]*)", prose(named(document))):
        assert option in known, f"{named(document)} names {option}"


def test_commands_are_found_in_the_documents() -> None:
    assert len(commands(ROOT / "README.md")) > 10
    assert "trm-bench resume results/first" in commands(ROOT / "docs" / "tutorial.md")
    assert "trm-bench list studies" in commands(ROOT / "docs" / "studies.md")


@pytest.mark.parametrize("document", [*PAGES, ROOT / "README.md"], ids=named)
def test_python_in_the_documents_is_python(document: Path) -> None:
    for block in fenced(named(document)):
        if block.language == "python":
            ast.parse(block.code)


# --- the rest --------------------------------------------------------------------------------------


def test_the_readme_opens_with_the_two_commands() -> None:
    first = fenced("README.md")[0]
    assert [line.split("#")[0].strip() for line in first.code.strip().splitlines()] == [
        "make bench",
        "make test",
    ]
    bench = text("Makefile").partition("\nbench:")[2].partition("\n\n")[0]
    assert " run --models trm,hrm,transformer --task maze-hard" in bench


def test_the_license_and_citation_files_are_whole() -> None:
    assert "Apache License" in text("LICENSE")
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "version"} <= set(citation)
    assert f'version = "{citation["version"]}"' in text("pyproject.toml")


def test_no_source_file_is_longer_than_600_lines() -> None:
    folders = ("harness", "plugins", "trm", "hrm_baseline", "testing", "tests", "benchmarks", "docs")
    long = [
        named(path)
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 600
    ]
    assert long == []


def test_the_core_imports_neither_models_nor_tasks() -> None:
    for path in (ROOT / "harness").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*from \.+(plugins|trm|hrm_baseline)\b", source, flags=re.MULTILINE), path
