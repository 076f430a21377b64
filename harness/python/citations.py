"""BibTeX of the harness, and of the task and the models of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import UsageError
from ..host.host import Host, Registry, host
from ..report.read import read_manifests
from ..store.provenance import version_of
from ..store.records import PartIdentity


@dataclass(frozen=True)
class Citations:
    """BibTeX entries, the harness first, and what each is for; and what has none, with the reason.

    Attributes:
        entries: by the entry's text, e.g. ``task trm-bench:maze-hard``.
    """

    entries: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        return "\n\n".join(self.entries)


def cite(*folders: str | Path) -> Citations:
    """BibTeX entries of the harness, and of the tasks and models in some output folders.

    Raises:
        UnavailableError: a folder does not exist, or holds no runs.
    """
    entries: dict[str, list[str]] = {harness_entry(): ["trm-bench"]}
    missing: list[str] = []
    _add(host(), [Path(folder) for folder in folders], entries, missing)
    return Citations({text: tuple(of) for text, of in entries.items()}, tuple(missing))


def harness_entry() -> str:
    """The harness itself, in the version that is running."""
    return "\n".join(
        [
            "@software{trm_bench,",
            "  title   = {{trm-bench}: a benchmark harness for recursive reasoners},",
            "  author  = {{The trm-bench authors}},",
            f"  version = {{{version_of('trm-bench') or '0+unknown'}}},",
            "  year    = {2026}",
            "}",
        ]
    )


def _add(plugins: Host, folders: Sequence[Path], entries: dict[str, list[str]], missing: list[str]) -> None:
    """Every citation of the tasks and models in some folders, tasks first."""
    named = [(part.kind, part.full_name) for part in _parts(folders, missing)]
    registries: dict[str, Registry[Any]] = {"task": plugins.tasks, "model": plugins.models}
    for kind, registry in registries.items():
        for name in dict.fromkeys(name for of, name in named if of == kind):
            try:
                citation = registry.get(name).spec.citation.strip()
            except UsageError:
                missing.append(f"{kind} {name}: its plugin is not installed; ask its authors")
                continue
            if citation:
                entries.setdefault(_same_key(entries, citation) or citation, []).append(f"{kind} {name}")
            else:
                missing.append(f"{kind} {name}: names no citation")


def _same_key(entries: Iterable[str], entry: str) -> str | None:
    """The entry that has this one's key already: BibTeX takes a key once only."""
    key = entry.partition("{")[2].partition(",")[0].strip()
    return next(
        (known for known in entries if known.partition("{")[2].partition(",")[0].strip() == key), None
    )


def _parts(folders: Sequence[Path], problems: list[str]) -> Iterable[PartIdentity]:
    for manifest in read_manifests(folders, problems):
        yield from manifest.identity.parts
