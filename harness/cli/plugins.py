"""``trm-bench plugins``: who is there, and what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..host.host import host
from . import VERBS
from .terminal import echo_json


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, error traces included.")
@click.option("--check", is_flag=True, help="End with exit code 1 if anything is wrong.")
def command(as_json: bool, check: bool) -> int:
    """Name every plugin, its version and hooks, and what is wrong with it."""
    plugins = host()
    plugins.add_commands(click.Group(), taken=VERBS)  # so that a failing command hook is named too
    problems = plugins.problems()
    if as_json:
        content = {"plugins": [asdict(plugin) for plugin in plugins.plugins.values()], "problems": problems}
        echo_json(content)
    else:
        for plugin in plugins.plugins.values():
            hooks = ", ".join(hook.removeprefix("trm_bench_") for hook in plugin.hooks) or "no hooks"
            click.echo(f"{plugin.label} {plugin.version}: {hooks}")
        for problem in problems:
            click.echo(f"problem: {problem}")
    return 1 if check and problems else 0
