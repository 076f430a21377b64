"""``trm-bench completion``: the script that lets a shell complete our command line."""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Any

import click
from click import shell_completion
from click.shell_completion import CompletionItem, ShellComplete

from ..host.host import DISABLE_VARIABLE
from ..host.plugin_files import announce_plugin_files, take_plugin_options
from . import COMPLETE_VARIABLE

PROGRAM = "trm-bench"
PLACES = {
    "bash": (
        "with the package bash-completion, for every new shell:\n"
        "  mkdir -p ~/.local/share/bash-completion/completions\n"
        "  trm-bench completion bash > ~/.local/share/bash-completion/completions/trm-bench\n"
        "without it: write it to any file and put `source FILE` into ~/.bashrc"
    ),
    "zsh": (
        "for every new shell:\n"
        "  mkdir -p ~/.zfunc\n"
        "  trm-bench completion zsh > ~/.zfunc/_trm-bench\n"
        "and in ~/.zshrc, above any other compinit:\n"
        "  fpath+=~/.zfunc; autoload -Uz compinit; compinit"
    ),
    "fish": (
        "for every new shell:\n"
        "  mkdir -p ~/.config/fish/completions\n"
        "  trm-bench completion fish > ~/.config/fish/completions/trm-bench.fish"
    ),
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(PLACES)))
def command(shell: str) -> None:
    """Print the script that completes verbs, options, and names of models, tasks and runs in a SHELL.

    Where to put it is said on stderr. To try it in this shell alone:

        source <(trm-bench completion bash)
    """
    script = shell_completion.get_completion_class(shell)
    assert script is not None  # click has all three
    # Through `click.echo`, like everything else, and not as bytes: the script is ASCII.
    click.echo(script(click.Command(PROGRAM), {}, PROGRAM, COMPLETE_VARIABLE).source(), nl=False)
    click.echo(PLACES[shell], err=True)


# --- answering the shell -------------------------------------------------------------------------


class _Quiet(ShellComplete):
    """Offers what it can. Nothing else may reach the prompt, whatever a plugin prints or raises."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """See `click.shell_completion.ShellComplete`."""
        nowhere = io.StringIO()
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            try:
                _heed(args)
                return super().get_completions(args, incomplete)
            except (Exception, SystemExit):
                return []


def _heed(args: list[str]) -> None:
    """Let ``--no-plugins`` and ``--plugin FILE`` on the line that is typed mean what they will mean."""
    if "--no-plugins" in args:
        os.environ[DISABLE_VARIABLE] = "all"
    # With a path still to come, --plugin has no value.
    with contextlib.suppress(Exception):
        args[:], files = take_plugin_options(args)
        announce_plugin_files(files)


class Bash(_Quiet, shell_completion.BashComplete):
    """Bash takes ``=`` and ``:`` for the ends of words, and puts in what it is given without quotes."""

    kept = ""
    """The part of the word at the cursor that bash will leave where it is."""
    quoted = False
    """Whether that word begins with a quote, within which nothing needs a backslash."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as they were typed."""
        words, place = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
        if len(words) == 1:  # not as the script passes them, with a line for each
            return super().get_completion_args()
        joined: list[str] = []
        glue = False
        for number, word in enumerate(words[: place + 1]):
            breaks = number > 0 and bool(re.fullmatch("[=:]+", word))
            together = number > 1 and (glue or breaks)
            before = joined.pop() if together else ""
            if number == place:
                self.kept = before + word * breaks
            joined.append(before + word)
            glue = breaks
        self.quoted = joined[-1][:1] in ("'", '"')
        os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)
        return super().get_completion_args()

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Without what stays, and with a backslash before what the shell would take for its own."""
        value = str(item.value)
        if item.type == "plain":
            kept = re.sub(r"^--[\w-]+=", "", self.kept)
            value = value.removeprefix(kept)
        if item.type == "plain" and not self.quoted:
            # The script reads lines with `read`, which takes one backslash away.
            value = re.sub(r"([^\w@%+=:,./\[\]~-])", r"\\\\\1", value)
        return f"{item.type},{value}"


class Zsh(_Quiet, shell_completion.ZshComplete):
    """Click's, quiet."""


class Fish(_Quiet, shell_completion.FishComplete):
    """Click's, quiet."""


def register() -> None:
    """Answer with our classes where a shell asks."""
    for one in (Bash, Zsh, Fish):
        shell_completion.add_completion_class(one)
