"""The plugin host: finds plugins, keeps each from harming the others, and names what went wrong.

Entry points of group ``trm_bench`` are loaded one by one. A plugin that fails to import, has a
wrong hook argument or raises in a hook is recorded with its error; everything else continues.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, distributions
from typing import Any, Generic, Protocol, TypeVar

import click
import pluggy

from ..api import hookspecs
from ..api.errors import LONGEST_ERROR, TrmBenchError, UsageError, cut, nearest, traced
from ..api.runners import RunnerSpec
from ..api.specs import API_VERSION, EvaluatorSpec, ModelSpec, ReporterSpec, StudySpec, TaskSpec
from ..api.text import one_line
from .calls import plugins_aside
from .checks import check_spec
from .plugin_files import plugin_files

OWN_DISTRIBUTION = "trm-bench"
DISABLE_VARIABLE = "TRM_BENCH_DISABLE_PLUGINS"
STRICT_VARIABLE = "TRM_BENCH_STRICT_PLUGINS"


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name it is found by."""
        ...

    @property
    def api_version(self) -> str:
        """The `API_VERSION` that it was made for."""
        ...


S = TypeVar("S", bound=Named)


class Entry(Protocol):
    """The part of `importlib.metadata.EntryPoint` that is used."""

    @property
    def name(self) -> str:
        """The entry point's name."""
        ...

    def load(self) -> Any:
        """Import what it names."""
        ...


@dataclass(frozen=True)
class Unreadable:
    """Placeholder for the entry points of a distribution whose list of them cannot be read."""

    name: str
    error: Exception

    def load(self) -> Any:
        """Raise what reading raised."""
        raise self.error


@dataclass(frozen=True)
class Found:
    """An entry point and the distribution it came with; ``file`` is the path of one that comes with none."""

    distribution: str
    version: str
    entry: Entry
    file: str | None = None

    @property
    def label(self) -> str:
        """``distribution:entry-point-name``, unique on a machine."""
        return f"{self.distribution}:{self.entry.name}"


@dataclass
class Plugin:
    """A plugin and how it fared; ``file`` is the path of one that no distribution installed.

    ``module`` is the name of its module, once that is loaded.
    """

    label: str
    distribution: str
    version: str
    file: str | None = None
    module: str = ""
    hooks: tuple[str, ...] = ()
    error: str | None = None
    trace: str | None = None


@dataclass(frozen=True)
class Part(Generic[S]):
    """A spec and the plugin that registered it."""

    spec: S
    plugin: Plugin

    @property
    def full_name(self) -> str:
        """``distribution:name``, which always works."""
        return f"{self.plugin.distribution}:{self.spec.name}"


@dataclass
class Registry(Generic[S]):
    """The specs of one kind, by name. A name that two distributions claim belongs to neither."""

    kind: str
    parts: list[Part[S]] = field(default_factory=list)

    def _by_name(self) -> dict[str, list[Part[S]]]:
        groups: dict[str, list[Part[S]]] = defaultdict(list)
        for part in self.parts:
            groups[part.spec.name].append(part)
        return groups

    def clashes(self) -> dict[str, list[Part[S]]]:
        """Names that more than one plugin registered."""
        return {name: parts for name, parts in self._by_name().items() if len(parts) > 1}

    def names(self) -> list[str]:
        """Every name that can be used as it is, sorted."""
        return sorted(name for name, parts in self._by_name().items() if len(parts) == 1)

    def get(self, name: str, prefer: Sequence[str] = ()) -> Part[S]:
        """The part of that name, or of that ``distribution:name``.

        Of a name that is claimed twice, the part of the first of the distributions ``prefer`` is
        taken that claims it: a task means its own evaluators, and our tables our own reporters.

        Raises:
            UsageError: unknown (the nearest name is suggested) or claimed twice.
        """
        if ":" in name:
            matches = [part for part in self.parts if part.full_name == name]
            known = [part.full_name for part in self.parts]
        else:
            matches = self._by_name().get(name, [])
            known = self.names()
        if not matches:
            raise UsageError(f"unknown {self.kind} {name!r}; {nearest(name, known)}")
        if len(matches) > 1:
            for distribution in prefer:
                owned = [part for part in matches if part.plugin.distribution == distribution]
                if len(owned) == 1:
                    return owned[0]
            raise UsageError(clash_message(self.kind, name, matches))
        return matches[0]


def clash_message(kind: str, name: str, parts: Sequence[Part[Any]]) -> str:
    """Both sides of a clash, and the names that work."""
    owners = " and ".join(part.plugin.label for part in parts)
    full = [part.full_name for part in parts]
    usable = sorted(one for one in full if full.count(one) == 1)
    advice = f"use {' or '.join(usable)}, or uninstall one" if usable else "one of them must be renamed"
    return f"{kind} {name!r} is registered by {owners}; {advice}"


class Host:
    """All plugins of this process.

    Attributes:
        plugins: every plugin that was found, working or not, by label.
        tasks, models, evaluators, reporters, studies, runners: what they registered.
    """

    def __init__(self, entries: Iterable[Found], *, strict: bool = False):
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self.tasks: Registry[TaskSpec] = Registry("task")
        self.models: Registry[ModelSpec] = Registry("model")
        self.evaluators: Registry[EvaluatorSpec] = Registry("evaluator")
        self.reporters: Registry[ReporterSpec] = Registry("reporter")
        self.studies: Registry[StudySpec] = Registry("study")
        self.runners: Registry[RunnerSpec] = Registry("runner")
        for found in entries:
            self._load(found)
        self._collect(self.tasks, "trm_bench_register_tasks", TaskSpec)
        self._collect(self.models, "trm_bench_register_models", ModelSpec)
        self._collect(self.evaluators, "trm_bench_register_evaluators", EvaluatorSpec)
        self._collect(self.reporters, "trm_bench_register_reporters", ReporterSpec)
        self._collect(self.studies, "trm_bench_register_studies", StudySpec)
        self._collect(self.runners, "trm_bench_register_runners", RunnerSpec)
        if strict:
            self._refuse_problems()

    def _load(self, found: Found) -> None:
        plugin = Plugin(found.label, found.distribution, found.version, found.file)
        self.plugins[found.label] = plugin
        try:
            module = found.entry.load()
            plugin.module = getattr(module, "__name__", "")
            self.manager.register(module, name=found.label)
            self.manager.check_pending()
            plugin.hooks = tuple(sorted(call.name for call in self.manager.get_hookcallers(module) or ()))
            if not plugin.hooks:
                raise TrmBenchError("implements no trm_bench_ hook; is @hookimpl missing?")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may fail in any way while it is imported: `pytest.skip`
            if self.manager.has_plugin(found.label):
                self.manager.unregister(name=found.label)
            self._record(plugin, error)

    def _record(self, plugin: Plugin, error: BaseException) -> None:
        said = cut(f"{type(error).__name__}: {error}".strip().replace("\n", " "), LONGEST_ERROR)
        plugin.error, plugin.trace = one_line(said), traced(error)

    def _implementations(self, hook: str) -> list[tuple[Plugin, pluggy.HookImpl]]:
        caller = getattr(self.manager.hook, hook)
        return [
            (self.plugins[implementation.plugin_name], implementation)
            for implementation in caller.get_hookimpls()
        ]

    def _collect(self, registry: Registry[S], hook: str, kind: type[S]) -> None:
        for plugin, implementation in self._implementations(hook):
            try:
                specs = implementation.function()
                if not isinstance(specs, Iterable):
                    raise TypeError(f"{hook} must give an iterable of {kind.__name__}, not {specs!r}")
                parts = [self._checked(spec, plugin, hook, kind) for spec in specs]
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # as of extensions in Rust, or pytest.skip
                self._record(plugin, error)
            else:
                registry.parts.extend(parts)

    @staticmethod
    def _checked(spec: Any, plugin: Plugin, hook: str, kind: type[S]) -> Part[S]:
        if not isinstance(spec, kind):
            raise TypeError(f"{hook} must give {kind.__name__}, not {type(spec).__name__}")
        if _major(spec.api_version) != _major(API_VERSION):
            raise TrmBenchError(
                f"{kind.__name__} {spec.name!r} is made for version {spec.api_version} of the plugin "
                f"interface, and this trm-bench has {API_VERSION}; install versions of the two that fit"
            )
        check_spec(spec)
        return Part(spec, plugin)

    def problems(self) -> list[str]:
        """A message for everything wrong with the plugins, each with the distribution's name."""
        found = [f"{plugin.label}: {plugin.error}" for plugin in self.plugins.values() if plugin.error]
        registries = (
            self.tasks,
            self.models,
            self.evaluators,
            self.reporters,
            self.studies,
            self.runners,
        )
        for registry in registries:
            for name, parts in registry.clashes().items():
                found.append(clash_message(registry.kind, name, parts))
        return found

    def _refuse_problems(self) -> None:
        if problems := self.problems():
            raise UsageError("strict plugin mode: " + "; ".join(problems))

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell every plugin; one that fails is recorded and never fails the run."""
        for plugin, implementation in self._implementations(hook):
            try:
                with plugins_aside():
                    implementation.function(*(arguments[name] for name in implementation.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # as of extensions in Rust, or pytest.skip
                self._record(plugin, error)

    def add_commands(self, cli: click.Group, taken: Iterable[str] = ()) -> None:
        """Let every plugin add its commands; one that fails, or takes a name that is taken, is recorded."""
        names = set(taken)
        for plugin, implementation in self._implementations("trm_bench_register_commands"):
            own = click.Group()
            try:
                with plugins_aside():
                    implementation.function(*(own for _ in implementation.argnames))
                if clash := sorted(names & set(own.commands)):
                    raise TrmBenchError(f"command {', '.join(clash)}: the name is taken")
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # as of extensions in Rust, or pytest.skip
                self._record(plugin, error)
            else:
                names |= set(own.commands)
                cli.commands.update(own.commands)


def _major(version: str) -> str:
    return str(version).partition(".")[0]


def find_entry_points() -> list[Found]:
    """Every entry point of our group, our own distribution first, then by name.

    Reads each distribution itself: `importlib.metadata.entry_points` hides the second of two
    distributions that use the same entry-point name.
    """
    found: dict[str, Found] = {}
    for distribution in distributions():
        try:
            entries: list[Entry] = [
                entry for entry in distribution.entry_points if entry.group == hookspecs.PROJECT
            ]
        except Exception as error:  # a damaged entry_points.txt of any distribution
            entries = [Unreadable("entry_points.txt", error)]
        if not entries:  # of most distributions nothing else is read
            continue
        name, version = _name_of(distribution)
        for entry in entries:
            item = Found(name, version, entry)
            found.setdefault(item.label, item)
    return sorted(found.values(), key=lambda item: (item.distribution != OWN_DISTRIBUTION, item.label))


def _name_of(distribution: Distribution) -> tuple[str, str]:
    """Name and version; those of a distribution whose metadata cannot be read are not known."""
    try:
        return distribution.metadata["Name"] or "unknown", distribution.version
    except Exception:  # e.g. not in UTF-8
        return "unknown", "unknown"


def selected(entries: Iterable[Found], disabled: str) -> list[Found]:
    """The entries that are not switched off.

    ``disabled`` is empty, ``all`` (only our own stay), or labels and distributions by comma.
    """
    names = {name.strip() for name in disabled.split(",") if name.strip()}
    if not names:
        return list(entries)
    if "all" in names or "1" in names:
        return [found for found in entries if found.distribution == OWN_DISTRIBUTION]
    return [found for found in entries if not names & {found.label, found.distribution}]


def _files() -> list[Found]:
    return [Found(one.path.name, one.version, one, str(one.path)) for one in plugin_files()]


@cache
def host() -> Host:
    """The host of this process, made once from the environment's settings.

    Raises:
        UsageError: a plugin that was named as a file does not work; in strict mode, any plugin.
    """
    disabled = os.environ.get(DISABLE_VARIABLE, "")
    strict = os.environ.get(STRICT_VARIABLE, "") not in ("", "0")
    with plugins_aside():
        made = Host([*selected(find_entry_points(), disabled), *_files()], strict=strict)
    for plugin in made.plugins.values():
        if plugin.file and plugin.error:  # it was requested by name
            raise UsageError(f"--plugin {plugin.file}: {plugin.error}")
    return made
