"""The command line: one module per verb, imported when it is called.

``--help``, ``list`` and ``plugins`` import neither torch nor scipy; a verb imports what is heavy
inside its function.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from ..errors import TrmBenchError, UnavailableError
from ..host import DISABLE_VARIABLE, host

VERBS = {
    "run": "train and evaluate models, and print their table",
    "resume": "go on with a run that was stopped",
    "evaluate": "let stored weights answer the test split, at any depth",
    "solve": "solve one puzzle, step by step",
    "export": "write weights in the names of the reference implementation",
    "speed": "measure training and answering of models on this machine",
    "prepare": "make or read a task's puzzles ahead of a run",
    "report": "print the table of finished cells again",
    "compare": "say what is known of two models or two result folders, in words",
    "cite": "print BibTeX of the harness and of what a table stands on",
    "calibrate": "check by simulation that the report's statistics are honest",
    "score": "score a file of answers, whoever wrote it",
    "show": "print the manifest of a cell",
    "list": "name the tasks, models, evaluators, reporters and studies there are",
    "plugins": "name the plugins and what is wrong with them",
}
INTERRUPTED = 130


class Verbs(click.Group):
    """Our verbs, then whatever commands the plugins add."""

    def _load_plugin_commands(self) -> None:
        if not getattr(self, "_loaded", False):
            self._loaded = True
            host().add_commands(self, taken=VERBS)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our verbs in their order, the plugins' after them."""
        self._load_plugin_commands()
        return [*VERBS, *sorted(name for name in self.commands if name not in VERBS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one of our verbs; ask the plugins for any other name."""
        if cmd_name in VERBS:
            # A submodule called `list` would take the builtin's place in this one.
            name = "listing" if cmd_name == "list" else cmd_name
            module = importlib.import_module(f".{name}", __package__)
            command: click.Command = module.command
            return command
        self._load_plugin_commands()
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing their modules."""
        self._load_plugin_commands()
        rows = list(VERBS.items())
        rows += [(name, command.get_short_help_str()) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ... import __version__

        click.echo(f"trm-bench {__version__}")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version."
)
@click.option("--no-plugins", is_flag=True, help="Use only what comes with trm-bench itself.")
def cli(no_plugins: bool) -> None:
    """Benchmark recursive reasoners: same puzzles, same budget, one honest table."""
    del no_plugins  # read by `main`, before any plugin could be loaded


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; ends the process with the exit codes of `docs/cli.md`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--no-plugins" in arguments:
        import os

        # Cells run in processes of their own, which must see it too.
        os.environ[DISABLE_VARIABLE] = "all"
    try:
        code = cli.main(args=arguments, prog_name="trm-bench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on with what is missing", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder without rights, a file that vanished
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}; nothing that was finished is lost", err=True)
        sys.exit(UnavailableError.exit_code)
    except TrmBenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
