"""The command line: one module per verb, imported when it is called. Verbs call `harness.python` and print.

``--help``, ``list`` and ``plugins`` import neither torch nor scipy; a verb imports what is heavy
inside its function.
"""

from __future__ import annotations

import copy
import functools
import importlib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from ..api.errors import Detached, PluginError, TrmBenchError, UnavailableError, UsageError, told
from ..host.host import DISABLE_VARIABLE, host
from ..host.interruption import interruptible, undisturbed
from ..host.plugin_files import announce_plugin_files, take_plugin_options
from ..store.disk import disk_problem
from . import terminal

VERBS = {
    "run": "train and evaluate models, and print their table",
    "tune": "try settings of models and choose on the validation puzzles",
    "resume": "continue a run that was stopped",
    "run-one": "carry out one planned run of an output folder",
    "status": "show which runs of an output folder are queued, running, done or failed",
    "cancel": "cancel runs that are queued or running on a cluster",
    "evaluate": "evaluate saved weights with any number of supervision steps",
    "solve": "solve one puzzle, step by step",
    "export": "write weights in the names of the reference implementation",
    "speed": "measure training and inference of models on this machine",
    "prepare": "make or read a task's puzzles ahead of a run",
    "report": "print the table of finished runs",
    "compare": "compare two models or two result folders",
    "verify": "check the files, scores and puzzles of finished runs, and train some again",
    "cite": "print BibTeX of the harness, and of the task and models of a table",
    "score": "score a submission file",
    "show": "print the manifest of a run",
    "list": "list tasks, models, evaluators, reporters, studies and runners",
    "new-plugin": "write a small project that adds a model, task, evaluator or reporter",
    "check": "run the conformance checks on a plugin's model, task, evaluator or reporter",
    "plugins": "list plugins and their problems",
    "env": "print versions, devices and plugins for a bug report",
}
INTERRUPTED = 130
TRACE_VARIABLE = "TRM_BENCH_TRACE"
"""Set in the environment to see the traceback of an unexpected error."""


class Verbs(click.Group):
    """Our verbs, then the commands that plugins add."""

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
            command: click.Command = copy.copy(importlib.import_module(f".{name}", __package__).command)
            assert command.callback is not None
            command.callback = _only_results(command.callback)
            return command
        self._load_plugin_commands()
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; an option of ours that is given twice is refused, where click takes the last."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in VERBS and command is not None:
            words = rest[: rest.index("--")] if "--" in rest else rest
            for option in command.params:
                if isinstance(option, click.Option) and not (option.multiple or option.is_flag):
                    long = option.opts[-1]
                    if sum(word == long or word.startswith(f"{long}=") for word in words) > 1:
                        raise UsageError(f"{long}: given twice")
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing their modules."""
        self._load_plugin_commands()
        rows = list(VERBS.items())
        rows += [(name, command.get_short_help_str()) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _only_results(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb of ours, during which plugins print to stderr. A plugin's own command prints where it likes."""

    @functools.wraps(verb)
    def called(*arguments: Any, **options: Any) -> Any:
        with terminal.only_results():
            try:
                return verb(*arguments, **options)
            except SystemExit as error:  # no verb of ours ends the program, so nothing was done
                raise PluginError(f"the code of a plugin ended the program ({told(error)})") from error

    return called


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ..store.provenance import version_of

        click.echo(f"trm-bench {version_of('trm-bench') or '0+unknown'}")
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
    """Benchmark recursive reasoners: same puzzles, same budget, one table that may be cited."""
    del no_plugins, plugin  # read by `main`, before any plugin could be loaded


def _tell(message: str) -> None:
    """Print to stderr; where that is closed, the exit code has to do."""
    with suppress(OSError):  # a terminal that was closed, too
        terminal.echo(message, err=True)


def _take_global_options(arguments: list[str]) -> list[str]:
    """Put ``--no-plugins`` and ``--plugin FILE`` into the environment, which the runs' processes see too."""
    if "--no-plugins" in arguments:
        os.environ[DISABLE_VARIABLE] = "all"
        host.cache_clear()
        arguments = [word for word in arguments if word != "--no-plugins"]  # after a verb it means the same
    arguments, files = take_plugin_options(arguments)
    if files:
        announce_plugin_files(files)
        host.cache_clear()
    return arguments


def _require_folder() -> None:
    """Raise an `UnavailableError` where the working folder was deleted: libraries end the program there."""
    try:
        Path.cwd()
    except OSError as error:
        raise UnavailableError(
            f"the working folder is not there any more ({error.strerror}); cd to another one"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; ends the process with the exit codes of `docs/cli.md`."""
    terminal.prepare()
    with interruptible():
        _main(arguments)


def _main(arguments: Sequence[str] | None) -> None:
    try:
        _require_folder()
        words = _take_global_options(list(sys.argv[1:] if arguments is None else arguments))
        code = cli.main(args=words, prog_name="trm-bench", standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(file=shown)
        _tell(re.sub(r"^Error: ", "error: ", shown.getvalue().rstrip("\n"), flags=re.MULTILINE))
        sys.exit(error.exit_code)
    except Detached:
        sys.exit(INTERRUPTED)
    except (click.Abort, KeyboardInterrupt):
        with undisturbed():
            _tell("interrupted; rerun the same command to continue")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder without rights, a file that vanished
        where = f"{error.filename}: " if error.filename else ""
        _tell(f"error: {disk_problem(error) or f'{where}{error.strerror or error}'}; finished runs are kept")
        sys.exit(UnavailableError.exit_code)
    except TrmBenchError as error:
        _tell(f"error: {error}")
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get(TRACE_VARIABLE):
            raise
        advice = f"please report it, with the trace that {TRACE_VARIABLE}=1 prints"
        _tell(f"error: unexpected {told(error)}; {advice}")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
