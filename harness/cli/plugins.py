"""``trm-bench plugins``: the plugins and their problems."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..host.host import host
from . import VERBS
from .options import json_option
from .terminal import echo, echo_json


@click.command("plugins")
@json_option("plugins, error traces included,")
@click.option("--check", is_flag=True, help="End with exit code 1 if anything is wrong.")
def command(as_json: bool, check: bool) -> int:
    """List every plugin with its version, hooks and problems."""
    plugins = host()
    plugins.add_commands(click.Group(), taken=VERBS)  # so that a failing command hook is named too
    problems = plugins.problems()
    if as_json:
        echo_json({"plugins": [asdict(plugin) for plugin in plugins.plugins.values()], "problems": problems})
    else:
        for plugin in plugins.plugins.values():
            hooks = ", ".join(hook.removeprefix("trm_bench_") for hook in plugin.hooks) or "no hooks"
            echo(f"{plugin.label} {plugin.version}: {hooks}")
        for problem in problems:
            echo(f"problem: {problem}")
    return 1 if check and problems else 0
