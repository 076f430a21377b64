"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from ..api.errors import UnavailableError, UsageError, nearest
from ..host.host import Host
from ..planning.settings import parse_seeds as parse_seeds
from . import complete

F = TypeVar("F", bound=Callable[..., Any])
CONFIG_SETTINGS = "trm_bench.config_settings"


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

    The keys are the options' long names without the dashes; ``set`` is a mapping.

    Raises:
        UsageError: the file cannot be read or has an unknown key; names both.
    """
    if path is None:
        return
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"--config {path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path}: not YAML ({error})") from error
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: must be a mapping of option names to values")
    names = {
        option.opts[-1].lstrip("-"): str(option.name)
        for option in context.command.params
        if isinstance(option, click.Option) and option.name != "config"
    }
    defaults: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name not in names:
            raise UsageError(f"--config {path}: unknown key {key!r}; {nearest(name, names)}")
        defaults[names[name]] = _as_option(value)
    context.meta[CONFIG_SETTINGS] = defaults.pop("settings", [])
    context.default_map = {**defaults, **(context.default_map or {})}


def _as_option(value: Any) -> Any:
    if isinstance(value, dict):
        return [f"{key}={inner}" for key, inner in value.items()]
    if isinstance(value, list):
        return ",".join(str(inner) for inner in value)
    return value


def data_options(function: F) -> F:
    """The options that say which puzzles are meant."""
    for option in reversed(
        (
            click.option("--task", shell_complete=complete.task, help="Name of the task."),
            click.option(
                "--scale",
                shell_complete=complete.scale,
                help="mini, lite or paper; see `trm-bench list tasks`.",
            ),
            click.option(
                "--source",
                shell_complete=complete.source,
                help="generated, official or hub; by default generated, or official with --data.",
            ),
            click.option("--data", type=click.Path(path_type=Path), help="Folder with the official files."),
            click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting."),
        )
    ):
        function = option(function)
    return function


device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    shell_complete=complete.device,
    help="auto, cpu, cuda or mps.",
)


def usual_scale(plugins: Host, task: str, device: str) -> str:
    """The scale where none is asked for: paper on CUDA and mini elsewhere, else the task's first.

    Raises:
        UsageError: the task is not known.
    """
    scales = list(plugins.tasks.get(task).spec.scales)
    wanted = "paper" if device == "cuda" else "mini"
    return wanted if wanted in scales else scales[0]


def required(value: str | None, option: str) -> str:
    """The value of an option that may also stand in ``--config``.

    Raises:
        UsageError: it stands in neither.
    """
    if not value:
        raise UsageError(f"{option} is missing")
    return value
