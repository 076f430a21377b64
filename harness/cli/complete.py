"""Shell completion of an option's value: names of models, tasks, studies and reporters.

Click asks these functions; see "Completion" in docs/cli.md. A plugin that does not work offers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from ..host.host import host

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def names(kind: str, by_comma: bool = False) -> Completer:
    """A completer for one kind of part; ``by_comma`` for lists of them."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        before, typed = _last(incomplete) if by_comma else ("", incomplete)
        try:
            parts = getattr(host(), kind).parts
        except Exception:  # an error would cost the prompt
            return []
        return [
            CompletionItem(before + part.spec.name, help=part.spec.summary)
            for part in parts
            if part.spec.name.startswith(typed)
        ]

    return complete


def _last(text: str) -> tuple[str, str]:
    """A comma list as what stays and the name that is typed; commas in brackets are options."""
    commas = [found.end() for found in re.finditer(r",(?![^\[]*\])", text)]
    place = commas[-1] if commas else 0
    return text[:place], text[place:]
