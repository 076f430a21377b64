"""Evaluators that are asked for in addition to the task's own: one that fails ends no run.

After a run they are computed from its stored predictions, without its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..api.errors import DataError, TrmBenchError, told
from ..api.specs import EvaluatorSpec
from ..host.calls import is_stop, plugins_aside
from ..host.host import Host
from ..inference.scoring import score
from ..planning.find_weights import PICKED
from ..planning.job import Job, PlannedRun
from ..store.folders import Output, RunFolder
from ..store.records import Description, Manifest, PartIdentity, Record


class NotScored(TrmBenchError):
    """Evaluators in addition to the task's own failed; the runs are finished without their scores."""


def scores_of(
    evaluators: Sequence[EvaluatorSpec], own: int, scored: Callable[[Sequence[EvaluatorSpec]], list[Record]]
) -> tuple[list[Record], dict[str, str]]:
    """Records with the scores of all evaluators that can give them, and by name what the others raised.

    The first ``own`` are the task's: what they raise ends the run, too.
    """
    failed: dict[str, str] = {}
    try:
        return scored(evaluators), failed
    except BaseException as error:  # plugins' code
        if is_stop(error) or len(evaluators) == own:
            raise
    for one in evaluators[own:]:
        try:
            scored([one])
        except BaseException as error:
            if is_stop(error):
                raise
            failed[one.name] = told(error)
    return scored([one for one in evaluators if one.name not in failed]), failed


def require_scored(failed: Mapping[str, str]) -> None:
    """Raise `NotScored` where an evaluator failed; ``failed`` is what `scores_of` gives."""
    if failed:
        why = "; ".join(f"evaluator {name} failed: {error}" for name, error in failed.items())
        raise NotScored(f"{why}; the run is finished without it: correct it and repeat the command")


def rescore(host: Host, output: Output, jobs: Sequence[Job]) -> int:
    """Score the finished runs of some jobs by evaluators that they were not scored by; gives their number.

    Raises:
        TrmBenchError: an evaluator needs more than a run keeps, or the predictions are damaged; names both.
    """
    scored = 0
    for job in jobs:
        for run in job.runs:
            folder = output.run(run.name)
            if folder.is_done():
                _forget(run, folder)
            if folder.is_done() and (new := missing_scores(folder.manifest(), run)):
                with plugins_aside():
                    _add(host, job, run, folder, new)
                scored += 1
    return scored


def _forget(run: PlannedRun, folder: RunFolder) -> None:
    """The other seeds that were requested are evaluated now, too: what was said of them holds no longer."""
    manifest = folder.manifest()
    kept = [one for one in manifest.not_citable_because if not one.startswith(PICKED) or one in run.reasons]
    if kept != manifest.not_citable_because:
        update = {"not_citable_because": kept, "citable": not kept}
        folder.write_manifest(manifest.model_copy(update=update))


def missing_scores(manifest: Manifest, run: PlannedRun) -> list[PartIdentity]:
    """The planned evaluators that have not scored a finished run, or did so by other code."""
    return [part for part in run.scored_by if part not in manifest.scored_by]


def _add(host: Host, job: Job, run: PlannedRun, folder: RunFolder, new: Sequence[PartIdentity]) -> None:
    manifest, names = folder.manifest(), {part.name for part in new}
    puzzles = job.prepared.read(run.identity.split).take(slice(0, run.identity.limit))
    predictions, specs = folder.predictions(), [host.evaluators.get(part.full_name).spec for part in new]
    if (held := len(predictions.tokens)) != len(puzzles):
        raise TrmBenchError(f"{folder.folder}: holds predictions for {held} puzzles, not for {len(puzzles)}")
    try:
        added = score(specs, job.prepared.info, puzzles, predictions, {})
    except BaseException as error:  # plugins' code
        if is_stop(error):
            raise
        needs_more = isinstance(error, DataError)  # than a run keeps, see `Predictions`
        advice = "--force repeats the run" if needs_more else "correct the evaluator and repeat the command"
        raise TrmBenchError(
            f"{folder.folder}: cannot be scored by {', '.join(sorted(names))} from its stored predictions "
            f"({told(error)}); {advice}"
        ) from error
    records = [
        _merged(Record.model_validate(old), more, names)
        for old, more in zip(folder.records(), added, strict=True)
    ]
    kept = [part for part in manifest.scored_by if part.name not in names]
    update = {
        "scored_by": [*kept, *new],
        "description": _described(manifest.description, run.description),
        "not_citable_because": list(dict.fromkeys([*manifest.not_citable_because, *_reasons(run, new)])),
    }
    update["citable"] = not update["not_citable_because"]
    folder.replace_samples(manifest.model_copy(update=update), records)


def _described(old: Description, new: Description) -> Description:
    """The description of a run, with what is said of its further evaluators."""
    both = {
        name: {**getattr(old, name), **getattr(new, name)}
        for name in ("headings", "api_versions", "plugin_files")
    }
    return old.model_copy(update=both)


def _reasons(run: PlannedRun, new: Sequence[PartIdentity]) -> list[str]:
    """Why the run may not be cited with these evaluators, see `identity.planned_run`."""
    return [reason for reason in run.reasons if reason.startswith(tuple(part.full_name for part in new))]


def _merged(old: Record, new: Record, names: set[str]) -> Record:
    """The scores of both; what an evaluator of ``names`` had given before goes."""
    extras = {key: value for key, value in old.extras.items() if key.partition(".")[0] not in names}
    return old.model_copy(update={"scores": {**old.scores, **new.scores}, "extras": {**extras, **new.extras}})
