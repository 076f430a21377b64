"""The command line: one module per verb, imported when it is called.

``--help``, ``list`` and ``plugins`` import neither torch nor scipy; a verb imports what is heavy
inside its function.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from ..api.errors import TrmBenchError, UnavailableError
from ..host.host import DISABLE_VARIABLE, host
from ..host.plugin_files import announce_plugin_files, take_plugin_options
from . import terminal

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
    "new-plugin": "write a small project that adds a model, task, evaluator or reporter",
    "check": "check that a plugin's part does what every one must do",
    "plugins": "name the plugins and what is wrong with them",
    "env": "print what a bug report needs",
    "completion": "print the script that lets a shell complete all this",
}
INTERRUPTED = 130
COMPLETE_VARIABLE = "_TRM_BENCH_COMPLETE"
"""Set by the script of `trm-bench completion` when a shell asks what may stand at the cursor."""


class Verbs(click.Group):
    """Our verbs, then whatever commands the plugins add."""

    context_class = terminal.Context

    def _load_plugin_commands(self) -> None:
        plugins = host()
        if getattr(self, "_loaded_from", None) is not plugins:
            self._loaded_from = plugins
            self.commands.clear()  # ours are imported when they are called
            plugins.add_commands(self, taken=VERBS)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our verbs in their order, the plugins' after them."""
        self._load_plugin_commands()
        return [*VERBS, *sorted(name for name in self.commands if name not in VERBS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one of our verbs; ask the plugins for any other name."""
        if cmd_name in VERBS:
            # A submodule called `list` would take the builtin's place in this one.
            name = "listing" if cmd_name == "list" else cmd_name.replace("-", "_")
            module = importlib.import_module(f".{name}", __package__)
            command: click.Command = module.command
            command.context_class = terminal.Context
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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The verbs that start so, without importing their modules; and the options."""
        found = [CompletionItem(name, help=words) for name, words in VERBS.items()]
        with suppress(TrmBenchError):  # strict mode, and a plugin that it refuses
            self._load_plugin_commands()
            found += [
                CompletionItem(name, help=one.get_short_help_str()) for name, one in self.commands.items()
            ]
        return [
            *(item for item in found if item.value.startswith(incomplete)),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


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
@click.option(
    "--plugin", multiple=True, metavar="FILE", help="Also use a Python file as a plugin; not citable."
)
def cli(no_plugins: bool, plugin: tuple[str, ...]) -> None:
    """Benchmark recursive reasoners: same puzzles, same budget, one honest table."""
    del no_plugins, plugin  # read by `main`, before any plugin could be loaded


def _say(words: str) -> None:
    """Tell whoever listens; where nobody does any more, the exit code says it."""
    with suppress(BrokenPipeError):
        click.echo(words, err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; ends the process with the exit codes of `docs/cli.md`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    terminal.prepare()
    if os.environ.get(COMPLETE_VARIABLE):
        from .completion import register

        register()
    if "--no-plugins" in arguments:
        # Cells run in processes of their own, which must see it too.
        os.environ[DISABLE_VARIABLE] = "all"
        host.cache_clear()
        arguments = [word for word in arguments if word != "--no-plugins"]  # after a verb it means the same
    try:
        arguments, files = take_plugin_options(arguments)
        if files:
            announce_plugin_files(files)
            host.cache_clear()
        code = cli.main(args=arguments, prog_name="trm-bench", standalone_mode=False)
    except click.ClickException as error:
        with suppress(BrokenPipeError):
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted; the same command goes on with what is missing")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder without rights, a file that vanished
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror or error}; nothing that was finished is lost")
        sys.exit(UnavailableError.exit_code)
    except TrmBenchError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
