"""One cell from start to end: train, then answer the test split once, then write everything."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from ..api.augment import Augmentation, Ints
from ..api.budget import Ledger
from ..api.embedding_rows import PuzzleIds
from ..api.errors import TrainingDiverged, TrmBenchError
from ..api.predictions import Predictions
from ..api.puzzles import PAD, PuzzleSet, TaskInfo
from ..api.randomness import named_seed
from ..api.reasoner import Reasoner
from ..api.specs import AugmentationRequest, EvaluatorSpec
from ..data.examples import ExampleStream, Exploration
from ..host.host import Host
from ..inference.inference import Answered, Answering, Pass, Views, answer, milliseconds_per_puzzle, predict
from ..planning.grid import from_files
from ..planning.job import CellJob, CellPlan, StoredWeights
from ..store import provenance
from ..store.folders import ANSWERS, Cell
from ..store.records import Answer, Answers, CellIdentity, Manifest, Record, Status
from ..training.checkpoint import Clock, read_checkpoint, stoppable, write_checkpoint
from ..training.config import TrainingConfig
from ..training.costs import count_flops, count_parameters
from ..training.device import default_precision, peak_memory
from ..training.trainer import Metrics, Spent, Trainer, Watcher

KEPT_ANSWERS = 4
"""Test items whose answers are kept, to be looked at in a report."""
EVALUATED = "evaluated"
Report = Callable[[Metrics], None]
"""Called with every line of metrics, ``spent`` in it the share of the budget used, and while the test
split is answered with the share `EVALUATED` alone."""


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def first_manifest(job: CellJob, plan: CellPlan) -> Manifest:
    """The manifest of one of a job's cells that has just begun."""
    reasons = _not_citable(job, plan)
    return Manifest(
        status=Status.RUNNING,
        cell=plan.name,
        asked=plan.asked,
        identity=plan.identity,
        citable=not reasons,
        not_citable_because=reasons,
        notes=list(plan.notes),
        started=now(),
        command=list(job.command),
        environment=provenance.environment(),
        code=provenance.code(),
    )


def _not_citable(job: CellJob, plan: CellPlan) -> list[str]:
    return [*job.not_citable_because, *from_files(plan.identity)]


@dataclass(frozen=True)
class Ended:
    """How a cell ended."""

    status: Status
    error: str | None = None


def run_cell(host: Host, job: CellJob, report: Report) -> Ended:
    """Run a job and leave the folder of each cell finished or failed; an error in it does not get out."""
    cells = [Cell(job.output / plan.name) for plan in job.plans]
    manifests = [first_manifest(job, plan) for plan in job.plans]
    for cell, manifest in zip(cells, manifests, strict=True):
        cell.start(manifest, job.fresh)
    try:
        run = CellRun(host, job, cells[0], report)
        trained = run.load(job.stored) if job.stored else run.train()
        run.evaluate(trained, cells, manifests)
    except Exception as error:
        ended = [failed(manifest, error) for manifest in manifests]
        for cell, manifest in zip(cells, ended, strict=True):
            if not cell.is_done():  # a shallower one of the same pass may be
                cell.write_manifest(manifest)
                cell.restore()
        return Ended(Status.FAILED, ended[0].error)
    return Ended(Status.DONE)


def failed(manifest: Manifest, error: BaseException) -> Manifest:
    """The manifest with the error in it; the trace is kept only for what we did not foresee."""
    foreseen = isinstance(error, TrmBenchError)
    return manifest.model_copy(
        update={
            "status": Status.FAILED,
            "citable": False,
            "not_citable_because": [*manifest.not_citable_because, "the cell failed"],
            "finished": now(),
            "error": str(error) if foreseen else f"{type(error).__name__}: {error}",
            "trace": None if foreseen else "".join(traceback.format_exception(error)),
        }
    )


@dataclass(frozen=True)
class _Trained:
    """What is known of the training of the weights that are in the model.

    Attributes:
        ledger: its training part.
        manifest: what of the manifest says so.
    """

    ledger: Ledger
    manifest: Mapping[str, object]


class CellRun:
    """The parts of one cell: its model, its examples, its training, its answers."""

    def __init__(self, host: Host, job: CellJob, cell: Cell, report: Report):
        self.host, self.job, self.cell, self.report = host, job, cell, report
        self.lines = 0
        identity = self.identity = job.plan.identity
        self.device = torch.device(identity.device)
        _fix_randomness(identity)
        _refuse_edited(host, identity)
        self.task = host.tasks.get(_full_name(identity, "task"))
        self.spec = host.models.get(_full_name(identity, "model")).spec
        self.training = TrainingConfig(**identity.training)
        self.info = job.prepared.info
        self.model = self._build()
        self.flops = count_flops(self.model, self.info.cells)
        precision = self.training.precision
        self.answering = Answering(
            self.device,
            default_precision(self.device) if precision == "auto" else precision,
            self.training.evaluation_batch,
        )

    def _build(self) -> Reasoner:
        assert self.spec.config is not None  # `resolve_model` has made sure of both
        assert self.spec.build is not None
        torch.manual_seed(named_seed("initial weights", self.identity.seed))
        model = self.spec.build(self.spec.config(**self.identity.architecture), self.info)
        return model.to(self.device)

    def load(self, stored: StoredWeights) -> _Trained:
        """Put stored weights into the model."""
        from ..weights.files import load_weights

        blank = self.identity.puzzle_ids is PuzzleIds.BLANK
        load_weights(self.model, self.spec, stored.file, blank)
        said = {"weights_sha256": stored.sha256, "weights_file": str(stored.file)}
        if stored.origin is None:
            return _Trained(Ledger(), {**said, "weights": "stored, from elsewhere"})
        kept = {name: getattr(stored.origin, name) for name in ("weights", "validation")}
        return _Trained(stored.origin.ledger, {**said, **kept})

    def train(self) -> _Trained:
        """Train until the budget is spent; the averaged weights stay in the model."""
        if not self.spec.trained:
            return _Trained(Ledger(), {"weights": "none"})
        validation = self._limited(self.job.prepared.read("validation"))
        curve: list[Metrics] = []
        clock = Clock(self.job.interval)

        def metrics(line: Metrics) -> None:
            self.cell.log(line)
            self.lines += 1
            if "validation_exact" in line:
                curve.append(line)
            self.report(line)

        asked = self.as_asked(validation)

        def validate(model: Reasoner) -> Metrics:
            return {"validation_exact": exact_share(predict(model, asked, self.answering), validation)}

        trainer = self.trainer()
        past = self._go_on(trainer, curve)

        def save(step: int) -> None:
            kept = {"trainer": trainer.state(), "curve": [dict(line) for line in curve], "lines": self.lines}
            write_checkpoint(self.cell.checkpoint, {**kept, **past})
            clock.saved(step)

        with stoppable() as stop:
            spent = trainer.run(Watcher(metrics, validate, save, clock.due, stop))
        if clock.worth_it(trainer.seconds()):  # answering the test split may be interrupted too
            save(trainer.steps)
        trainer.settle()
        _require_finite(self.model, spent.steps)
        said: dict[str, Any] = {
            "weights_sha256": self.cell.write_weights(_weights(self.model)),
            "weights": f"averaged (EMA {self.training.ema:g})"
            if self.training.ema
            else "those of the last step",
            "validation": [dict(line) for line in curve],
            "resumed": past["resumed"],
        }
        if past["code"] != _made_by():
            said["not_citable_because"] = [*_not_citable(self.job, self.job.plan), RESUMED_BY_ANOTHER]
            said["citable"] = False
        return _Trained(self._training_ledger(spent), said)

    def trainer(self) -> Trainer:
        """The training of this cell's model on its draws, not yet begun."""
        assert self.identity.budget is not None  # only weights from elsewhere have none
        return Trainer(
            self.model,
            self._examples(),
            self.training,
            self.identity.budget,
            self.flops,
            cells=self.info.cells,
            device=self.device,
        )

    def _go_on(self, trainer: Trainer, curve: list[Metrics]) -> dict[str, Any]:
        """Put the trainer where the last checkpoint left it; gives what the next one has to remember."""
        saved = read_checkpoint(self.cell.checkpoint)
        if saved is None:
            return {"resumed": [], "code": _made_by()}
        try:
            trainer.restore(saved["trainer"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            first = str(error).splitlines()[0]
            raise TrmBenchError(
                f"{self.cell.checkpoint}: does not fit this model ({first}); --force starts the cell anew"
            ) from error
        curve += saved["curve"]
        self.lines = saved["lines"]
        self.cell.cut_log(self.lines)
        return {"resumed": [*saved["resumed"], trainer.steps], "code": saved["code"]}

    def _training_ledger(self, spent: Spent) -> Ledger:
        return Ledger(
            optimiser_steps=spent.steps,
            draws=spent.draws,
            distinct_variants=self.stream.stream.distinct(spent.draws),
            supervision_steps=spent.supervision_steps,
            training_flops=spent.flops,
            training_seconds=spent.seconds,
        )

    def _limited(self, puzzles: PuzzleSet) -> PuzzleSet:
        return puzzles.take(slice(0, self.identity.data.limit))  # a limit of None takes all

    def as_asked(self, puzzles: PuzzleSet) -> PuzzleSet:
        """The puzzles as they are, with rows of the puzzle embedding for identifiers."""
        rows = self._puzzle_rows(puzzles)(np.arange(len(puzzles)), np.zeros(len(puzzles), np.int64))
        return replace(puzzles, identifiers=rows.astype(np.int32))

    def _puzzle_rows(self, puzzles: PuzzleSet) -> Callable[[Ints, Ints], Ints]:
        """From places in ``puzzles`` and variants to rows of the puzzle embedding, at evaluation."""
        table, which, seed = self.job.prepared.rows, self.identity.puzzle_ids, self.identity.data.task_seed

        def rows(items: Ints, ks: Ints) -> Ints:
            who = puzzles.identifiers[items]
            return who.astype(np.int64) if table is None else table.at_evaluation(who, ks, which, seed)

        return rows

    def _augmentation(self, puzzles: PuzzleSet, training: bool) -> Augmentation:
        request = AugmentationRequest(self.info, puzzles, self.job.prepared.identities, training)
        return self.task.spec.augmentation(request)

    def _examples(self) -> ExampleStream:
        train = self.job.prepared.read("train")
        assert self.identity.budget is not None
        self.stream = ExampleStream(
            train,
            self._augmentation(train, training=True),
            self.identity.budget.augmentations,
            task_seed=self.identity.data.task_seed,
            seed=self.identity.seed,
            exploration=Exploration(self.training.exploration, self.model.supervision_steps),
            identities=self.job.prepared.identities,
            rows=self.job.prepared.rows,
        )
        return self.stream

    def evaluate(self, trained: _Trained, cells: Sequence[Cell], manifests: Sequence[Manifest]) -> None:
        """The one reading of the test split; writes every cell of the job."""
        test = self._limited(self.job.prepared.read("test"))
        usual = self.model.supervision_steps
        depths = tuple(plan.identity.steps or usual for plan in self.job.plans)
        reading = Pass(depths, self.identity.halting)
        answered = self._answer(test, reading)
        for cell, manifest, one in zip(cells, manifests, answered, strict=True):
            self._finish(cell, manifest, trained, test, one)

    def _finish(
        self, cell: Cell, manifest: Manifest, trained: _Trained, test: PuzzleSet, answered: Answered
    ) -> None:
        predictions = answered.predictions
        records = score(self._evaluators(), self.info, test, predictions)
        cell.write_export(ANSWERS, self._first_answers(test, predictions))
        if self.task.spec.exports is not None:
            for name, content in self.task.spec.exports(self.info, test, predictions).items():
                cell.write_export(name, content)
        update = {
            **trained.manifest,
            "ledger": self._ledger(trained.ledger, answered, test),
            "finished": now(),
        }
        cell.finish(manifest.model_copy(update=update), records)

    def _first_answers(self, test: PuzzleSet, predictions: Predictions) -> bytes:
        answers = [
            Answer(
                item=str(test.ids[row]),
                question=test.inputs[row].tolist(),
                target=test.targets[row].tolist(),
                answer=predictions.answers[row].tolist(),
            )
            for row in range(min(KEPT_ANSWERS, len(test)))
        ]
        symbols = list(self.task.spec.symbols)
        kept = Answers(height=self.info.height, width=self.info.width, symbols=symbols, answers=answers)
        return kept.model_dump_json().encode() + b"\n"

    def _answer(self, test: PuzzleSet, reading: Pass) -> list[Answered]:
        if self.identity.votes is None:
            asked = self.as_asked(test)
            return answer(self.model, asked, self.answering, reading, progress=self._show_evaluation)
        blank = replace(test, targets=np.zeros_like(test.targets))
        views = Views(
            self._augmentation(blank, training=False),
            self.identity.data.task_seed,
            self._votes(test, self.identity.votes),
            self._puzzle_rows(test),
        )
        return answer(self.model, test, self.answering, reading, views, self._show_evaluation)

    def _votes(self, test: PuzzleSet, most: int) -> Ints:
        """(N,) as many as the item has variants, up to ``most``."""
        identities = self.job.prepared.identities
        if identities is None:
            return np.full(len(test), most)
        return np.minimum(identities.variants[test.identifiers], most)

    def _show_evaluation(self, share: float) -> None:
        self.report({EVALUATED: share})

    def _evaluators(self) -> list[EvaluatorSpec]:
        names = [
            f"{part.distribution}:{part.name}" for part in self.identity.parts if part.kind == "evaluator"
        ]
        return [self.host.evaluators.get(name).spec for name in names]

    def _ledger(self, training: Ledger, answered: Answered, test: PuzzleSet) -> Ledger:
        trunk, outer, embedding = count_parameters(self.model)
        predictions, puzzles = answered.predictions, len(test)
        votes = 1.0 if predictions.ballots is None else float(predictions.ballots.votes.mean())
        identities = self.job.prepared.identities
        per_step = self.flops.inference / self.model.supervision_steps
        alone = Pass((predictions.steps,), predictions.halted)
        measured = {
            "inference_flops_per_puzzle": per_step * answered.steps * votes,
            "trunk_parameters": trunk,
            "outer_parameters": outer,
            "embedding_parameters": embedding,
            "inference_steps": predictions.steps,
            "steps_taken": answered.steps,
            "evaluation_seconds": answered.seconds,
            "puzzles_per_second": puzzles / answered.seconds,
            "evaluation_batch": min(self.answering.batch_size, round(puzzles * votes)),
            "milliseconds_per_puzzle": milliseconds_per_puzzle(
                self.model, self.as_asked(test), self.answering, alone
            ),
            "peak_memory_bytes": peak_memory(self.device),
            "votes_per_puzzle": votes,
            "variants_of": {}
            if identities is None
            else dict(zip(identities.names.tolist(), identities.variants.tolist(), strict=True)),
        }
        return training.model_copy(update=measured)


RESUMED_BY_ANOTHER = "training was resumed by another state of the code or another torch"


def _made_by() -> str:
    return f"{provenance.code_fingerprint()} {torch.__version__}"


def _full_name(identity: CellIdentity, kind: str) -> str:
    part = next(part for part in identity.parts if part.kind == kind)
    return f"{part.distribution}:{part.name}"


def _refuse_edited(host: Host, identity: CellIdentity) -> None:
    """A plugin that is a file may have been edited while its cells waited."""
    now_there = {(plugin.distribution, plugin.version) for plugin in host.plugins.values()}
    for part in identity.parts:
        if part.file and (part.distribution, part.version) not in now_there:
            raise TrmBenchError(f"{part.file} was edited after this cell was planned; run it again")


def _fix_randomness(identity: CellIdentity) -> None:
    torch.set_num_threads(identity.threads)
    if identity.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by cuBLAS; no use elsewhere
        torch.use_deterministic_algorithms(True)


def _weights(model: Reasoner) -> dict[str, torch.Tensor]:
    """Every tensor of the model by name; a file cannot hold two names for one memory, so those are copied."""
    weights, seen = {}, set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        weights[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return weights


def _require_finite(model: Reasoner, steps: int) -> None:
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise TrainingDiverged(f"weight {name} is not finite after optimiser step {steps}")


def exact_share(predictions: Predictions, puzzles: PuzzleSet) -> float:
    """The share of puzzles with every labelled cell right, for validation curves."""
    right = (predictions.answers == puzzles.targets) | (puzzles.targets == PAD)
    return float(np.mean(right.all(axis=1))) if len(puzzles) else float("nan")


def score(
    evaluators: Sequence[EvaluatorSpec], info: TaskInfo, test: PuzzleSet, predictions: Predictions
) -> list[Record]:
    """One record per test item, scored by every evaluator.

    Raises:
        TrmBenchError: an evaluator did not give one sample per item, in order.
    """
    columns: dict[str, list[float]] = {}
    taken = predictions.steps_taken
    extras: dict[str, list[Mapping[str, float]]] = {}
    for evaluator in evaluators:
        name, samples = evaluator.name, evaluator.evaluate(info, test, predictions)
        if [sample.item for sample in samples] != test.ids.tolist():
            raise TrmBenchError(f"evaluator {name!r} must give one sample per test item, in their order")
        for sample in samples:
            if not 0 <= sample.score <= 1:  # NaN fails this too
                raise TrmBenchError(
                    f"evaluator {name!r}, item {sample.item}: score {sample.score} is not from 0 to 1"
                )
        columns[name] = [sample.score for sample in samples]
        extras[name] = [sample.extras for sample in samples]
    return [
        Record(
            item=str(test.ids[row]),
            cluster=str(test.clusters[row]),
            scores={name: column[row] for name, column in columns.items()},
            extras={
                "steps": int(taken[row]),
                "halt_step": int(predictions.halt_steps[row]),
                **{f"{name}.{key}": value for name in extras for key, value in extras[name][row].items()},
            },
        )
        for row in range(len(test))
    ]
