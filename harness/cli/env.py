"""``trm-bench env``: what a bug report needs."""

from __future__ import annotations

from typing import Any

import click

from ..api.errors import TrmBenchError
from ..host.host import host
from .options import json_option
from .terminal import echo, echo_json


@click.command("env")
@json_option("everything")
def command(as_json: bool) -> None:
    """Print the version, plugins, cache folder, and what PyTorch says of this machine."""
    content = gather()
    if as_json:
        echo_json(content)
        return
    for name in ("trm-bench", "commit", "cache"):
        echo(f"{name}: {content[name]}")
    for plugin in content["plugins"]:
        echo(f"plugin: {plugin}")
    for problem in content["problems"]:
        echo(f"problem: {problem}")
    echo(content["torch"])


def gather() -> dict[str, Any]:
    """Everything, with the error in place of what cannot be found out."""
    from ..data.prepare import cache_root
    from ..store import provenance

    code = provenance.code()
    try:
        plugins = host()
        installed = [f"{plugin.label} {plugin.version}" for plugin in plugins.plugins.values()]
        problems = plugins.problems()
    except TrmBenchError as error:  # strict mode
        installed, problems = [], [str(error)]
    return {
        "trm-bench": f"{code['trm-bench'] or 'not installed'}, source {code['fingerprint'][:12]}",
        "commit": code.get("commit"),
        "cache": str(cache_root()),
        "plugins": installed,
        "problems": problems,
        "libraries": provenance.environment()["libraries"],
        "torch": _torch(),
    }


def _torch() -> str:
    try:
        from torch.utils.collect_env import get_pretty_env_info

        return str(get_pretty_env_info())  # type: ignore[no-untyped-call]
    except Exception as error:  # a half-installed torch may raise anything, and that is what one reports
        return f"torch cannot be used: {type(error).__name__}: {error}"
