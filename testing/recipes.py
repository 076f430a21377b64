"""Whether a model can be set up from every section of its recipe file, also from those of other tasks."""

from __future__ import annotations

from dataclasses import replace

from ..harness.api.errors import UsageError, nearest
from ..harness.api.puzzles import TaskInfo
from ..harness.host.host import Host, host
from ..harness.planning.models import parse_variant, resolve_model, resolved_part
from ..harness.planning.recipes import sections_of
from .findings import Wrong

ANY_TASK = "*"


def check_recipe(plugins: Host, name: str, info: TaskInfo) -> str:
    """A remark on the recipe file of a model: for which tasks and scales it has settings.

    Args:
        plugins: where the model is.
        name: what ``--models`` takes.
        info: a shape of puzzles; its task and scale are replaced by those of each section.

    Raises:
        Wrong: a section names a scale that no task has, or holds a setting that is unknown or out of range.
    """
    spec = resolved_part(plugins, parse_variant(name), info).spec
    if spec.recipes is None:
        return "it has no recipe file"
    sections, known = sections_of(spec.recipes), {part.spec.name: part.spec for part in host().tasks.parts}
    unknown: list[str] = []
    for task, scale in sections:
        tasks = [known[task]] if task in known else list(known.values())
        scales = sorted({scale for spec in tasks for scale in spec.scales})
        if scale not in scales:
            raise Wrong(f"{task}/{scale} is never read: {nearest(scale, scales)}", str(spec.recipes))
        if task not in (*known, ANY_TASK, *unknown):
            unknown.append(task)
        shape = replace(info, task=info.task if task == ANY_TASK else task, scale=scale)
        try:
            resolve_model(plugins, name, shape, {})
        except UsageError as error:
            raise Wrong(f"{task}/{scale}: {error}", str(spec.recipes)) from error
    missing = f"; not installed here: {', '.join(unknown)}" if unknown else ""
    return f"{len(sections)} {'section' if len(sections) == 1 else 'sections'}{missing}"
