"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from ..api.errors import UnavailableError, UsageError, nearest
from ..api.reading import load_yaml
from ..api.text import path_problem
from .complete import names

F = TypeVar("F", bound=Callable[..., Any])
CONFIG_SETTINGS = "trm_bench.config_settings"
MAPPINGS = ("set", "grid")
"""Options that a configuration file gives as mappings."""


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """The ``key=value`` pairs of ``--set``.

    Raises:
        UsageError: one has no ``=``, or a key comes twice with different values.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key, value = key.strip(), value.strip()
        if not (equals and key and value):
            raise UsageError(f"--set {pair!r}: write key=value")
        if settings.setdefault(key, value) != value:
            raise UsageError(f"--set {key}: given twice, as {settings[key]!r} and {value!r}")
    return settings


def all_settings(pairs: Sequence[str]) -> dict[str, str]:
    """The settings of ``--config``, if there is one, and of ``--set``, which wins key by key."""
    from_file = click.get_current_context().meta.get(CONFIG_SETTINGS, [])
    return {**parse_settings(from_file), **parse_settings(pairs)}


def read_config(context: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Take defaults for a verb's options from a YAML file; the command line wins.

    The keys are the options' long names without the dashes; ``set`` and ``grid`` are mappings.

    Raises:
        UsageError: the file cannot be read or has an unknown key; names both.
    """
    if path is None:
        return
    try:
        content = load_yaml(path) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"--config {path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path}: not YAML ({error})") from error
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: must be a mapping of option names to values")
    known = {
        option.opts[-1].lstrip("-"): str(option.name)
        for option in context.command.params
        if isinstance(option, click.Option) and option.name != "config"
    }
    defaults: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name not in known:
            raise UsageError(f"--config {path}: unknown key {key!r}; {nearest(name, known)}")
        if value is None:  # the same as without the line
            continue
        if known[name] in defaults:
            raise UsageError(f"--config {path}: {name} is given twice")
        if (name in MAPPINGS) != isinstance(value, dict):
            kind = "a mapping" if name in MAPPINGS else "a value or a list"
            raise UsageError(f"--config {path}: {key} must be {kind}")
        value = _at_home(value)
        defaults[known[name]] = _as_paths(value) if name in ("train", "test") else _as_option(value)
    context.meta[CONFIG_SETTINGS] = defaults.pop("settings", [])
    context.default_map = {**defaults, **(context.default_map or {})}


def _at_home(value: Any) -> Any:
    """The value with ``~/`` at its start as the home folder: no shell reads it in a file."""
    if isinstance(value, list):
        return [_at_home(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _at_home(inner) for key, inner in value.items()}
    return str(Path(value).expanduser()) if isinstance(value, str) and value.startswith("~/") else value


def _as_paths(value: Any) -> list[str]:
    """The value of an option that may be repeated."""
    return [str(path) for path in (value if isinstance(value, list) else [value])]


def _as_option(value: Any) -> Any:
    if isinstance(value, dict):
        return [
            f"{key}={_as_option(inner) if isinstance(inner, list) else inner}"
            for key, inner in value.items()
            if inner is not None  # the same as without the line
        ]
    if isinstance(value, list):
        return ",".join(str(inner) for inner in value)
    return str(value)  # as if it were typed: 2.7 is no whole number


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Decorate a command with several options, in the order of its help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class _Path(click.Path):
    """A path, also from ``--config``: one that no file can have is refused with the option's name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and (problem := path_problem(value)) is not None:
            name = param.opts[-1] if param is not None else "path"
            raise UsageError(f"{name} {value!r}: {problem}")
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
task_option = click.option("--task", shell_complete=names("tasks"), help="Name of the task.")
models_option = click.option(
    "--models",
    shell_complete=names("models", by_comma=True),
    help="Names by comma; options in brackets, e.g. trm[cycles=2].",
)


def _data_options(scale: str, source: str) -> Callable[[F], F]:
    """Options for the puzzles, with the help of two of them."""
    return several(
        task_option,
        click.option("--scale", help=scale),
        click.option("--source", help=source),
        click.option("--data", type=PATH, help="Folder with the official files."),
        click.option(
            "--train",
            type=PATH,
            multiple=True,
            metavar="FILE",
            help="File to train on, instead of those in the folder; repeatable.",
        ),
        click.option(
            "--test",
            type=PATH,
            multiple=True,
            metavar="FILE",
            help="File to test on, instead of those in the folder; repeatable.",
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting; repeatable."
        ),
    )


data_options = _data_options(
    "mini (the default), small, lite or paper; see `trm-bench list tasks`.",
    "generated, official or hub; by default the task's at that scale, or official with --data.",
)
weights_data_options = _data_options(
    "mini, small, lite or paper; by default as in training, paper for external weights.",
    "generated, official or hub; by default as in training, or official with --data.",
)
weights_key_option = click.option(
    "--weights-key",
    metavar="KEY",
    help="Which weights of a file that holds several, e.g. model_state_dict; by default the averaged ones.",
)
gpus_option = click.option(
    "--gpus",
    metavar="N,N",
    help="GPUs to use, by their numbers; by default every visible one, with one run at a time on each. "
    "Where one model is measured or run, the first.",
)
device_option = several(
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda, mps, or cuda:N, which is the same as --gpus N.",
    ),
    gpus_option,
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes side by side; by default one per core, or one per GPU, which is the most there.",
)
on_option = click.option(
    "--on",
    metavar="RUNNER",
    shell_complete=names("runners"),
    help="Where the runs are carried out: slurm, local, or a YAML file with settings; by default here.",
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Use only the first N test and validation puzzles, and N votes (not citable).",
)
evaluators_option = click.option(
    "--evaluators",
    default="",
    shell_complete=names("evaluators", by_comma=True),
    help="Further evaluators, in addition to the task's own.",
)
config_option = click.option(
    "--config",
    type=PATH,
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="YAML file with any of these options.",
)
folders_argument = click.argument("folders", nargs=-1, type=PATH, metavar="[DIR]...")


def json_option(what: str) -> Callable[[F], F]:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")
