"""``trm-bench cite``: BibTeX of the harness, and of the task and the models of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ..api.errors import UsageError
from ..host.host import Host, Registry, host
from ..store.records import PartRecord
from . import complete
from .terminal import echo_json


@click.command("cite")
@click.argument(
    "folders",
    nargs=-1,
    type=click.Path(path_type=Path),
    shell_complete=complete.outputs,
    metavar="[DIR]...",
)
@click.option("--json", "as_json", is_flag=True, help="Print the entries, and what each is of, as JSON.")
def command(folders: tuple[Path, ...], as_json: bool) -> None:
    """Print BibTeX entries: the harness, and what the tables of the output folders DIR stand on.

    Example:
        trm-bench cite results/maze-hard-mini
    """
    entries = {harness_entry(): ["trm-bench"], **_entries(host(), folders)}
    if as_json:
        echo_json([{"of": names, "bibtex": entry} for entry, names in entries.items()])
    else:
        click.echo("\n\n".join(entries))


def _same_key(entries: Iterable[str], entry: str) -> str | None:
    """The entry that has this one's key already: BibTeX takes a key once only."""
    key = entry.partition("{")[2].partition(",")[0].strip()
    return next((one for one in entries if one.partition("{")[2].partition(",")[0].strip() == key), None)


def harness_entry() -> str:
    """The harness itself, in the version that is running."""
    from ... import __version__

    return "\n".join(
        [
            "@software{trm_bench,",
            "  title   = {{trm-bench}: a benchmark harness for recursive reasoners},",
            "  author  = {{The trm-bench authors}},",
            f"  version = {{{__version__}}},",
            "  year    = {2026}",
            "}",
        ]
    )


def _entries(plugins: Host, folders: Sequence[Path]) -> dict[str, list[str]]:
    """Every citation of the tasks and models in some folders, tasks first, and what it is of."""
    named = [(part.kind, f"{part.distribution}:{part.name}") for part in _parts(folders)]
    registries: dict[str, Registry[Any]] = {"task": plugins.tasks, "model": plugins.models}
    found: dict[str, list[str]] = {}
    for kind, registry in registries.items():
        for name in dict.fromkeys(name for of, name in named if of == kind):
            try:
                citation = registry.get(name).spec.citation
            except UsageError:
                click.echo(f"{kind} {name}: its plugin is not installed; ask its authors", err=True)
                continue
            if citation:
                entry = _same_key(found, citation.strip()) or citation.strip()
                found.setdefault(entry, []).append(f"{kind} {name}")
            else:
                click.echo(f"{kind} {name}: names no citation", err=True)
    return found


def _parts(folders: Sequence[Path]) -> Iterable[PartRecord]:
    from ..report.read import read_manifests

    for manifest in read_manifests(folders):
        yield from manifest.identity.parts
