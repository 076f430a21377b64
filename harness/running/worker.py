"""The parts of one run in its process: its model, its examples, its training, its evaluation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch

from ..api.augment import Augmentation, Ints
from ..api.budget import Ledger
from ..api.embedding_rows import PuzzleIds
from ..api.errors import TrmBenchError, UnavailableError
from ..api.puzzles import PuzzleSet
from ..api.randomness import named_seed
from ..api.reasoner import Reasoner
from ..api.specs import AugmentationRequest
from ..data.examples import ExampleStream, Exploration
from ..host.host import Host
from ..host.sources import UNKNOWN, fingerprint
from ..inference.inference import (
    ONCE,
    Depths,
    InferenceConfig,
    Read,
    Views,
    infer,
    milliseconds_per_puzzle,
    predict,
)
from ..inference.scoring import exact_share, score
from ..planning.job import Job, StoredWeights
from ..store import provenance
from ..store.disk import disk_problem
from ..store.folders import RunFolder
from ..store.predictions import pack_predictions
from ..store.records import NO_WEIGHTS, Manifest, RunIdentity
from ..store.tensors import tensors_sha256, weights_by_name
from ..training.checkpoint import Clock, checkpoint_problem, read_checkpoint, stoppable, write_checkpoint
from ..training.compiling import compile_parts
from ..training.config import ExecutionConfig, TrainingConfig
from ..training.costs import count_flops, count_parameters
from ..training.device import peak_memory
from ..training.group import ALONE, Group
from ..training.microbatch import choose_microbatch
from ..training.trainer import Metrics, Spent, Trainer, Watcher
from ..weights.files import load_weights
from .choices import chosen, kept
from .rescore import require_scored, scores_of
from .worker_keys import EVALUATED, RESUMED

RESUMED_BY_ANOTHER = "training was resumed by another state of the code or another torch"


Trained = Mapping[str, Any]
"""Fields of the manifest about the weights in the model, the training part of the ledger among them."""


class Worker:
    """Carries one job out, step by step: alone, or as one of several processes, the first of which writes."""

    def __init__(
        self,
        host: Host,
        job: Job,
        folder: RunFolder,
        on_metrics: Callable[[Metrics], None],
        tell: Callable[[str], None] = warnings.warn,
    ):
        self.host, self.job, self.folder, self.on_metrics = host, job, folder, on_metrics
        self.tell = tell
        self.log: list[dict[str, float]] = []
        self.refused: set[str] = set()
        self.group: Group = ALONE
        self.saved: dict[str, Any] | None = None
        self.earlier_peak = 0  # bytes, of the processes that trained before an interruption
        identity = self.identity = job.run.identity
        self.device = torch.device(identity.device)
        _fix_randomness(identity)
        _refuse_edited(host, job)
        self.task = host.tasks.get(identity.part("task").full_name)
        self.spec = host.models.get(identity.part("model").full_name).spec
        self.training = TrainingConfig(**identity.training)
        self.info = job.prepared.info
        self.model = self._build()
        self.flops = count_flops(self.model, self.info.cells)
        self.rollouts = identity.rollouts or ONCE
        self.execution = job.execution
        self.inference = InferenceConfig(
            self.device,
            self.training.precision,
            job.execution.evaluation_batch,
            vocabulary=self.info.vocab_size,
        )

    def choose(self) -> ExecutionConfig:
        """Settle how the run is carried out, before its first step; a resumed one keeps what it had."""
        self.saved = self._checkpoint() if self.job.stored is None else None
        if self.saved is not None:
            assert self.identity.budget is not None  # of a checkpoint
            batch = self.identity.budget.batch_size // self.job.execution.processes
            self.execution = kept(self.job.execution, self.saved["execution"], batch, self._say)
        else:
            self.execution, why = chosen(
                self.job.execution, self.model, self.training, self._work(), self.device
            )
            if self.job.execution.compile == "auto" and self.spec.trained:
                self.tell(f"{'compiled' if self.execution.compile else 'not compiled'}: {why}")
            self._choose_microbatch()
        if self.execution.compile is True:
            self._compile()
        self.inference = replace(self.inference, compiled=self.execution.compile is True)
        if self.device.type == "cuda":  # what was tried in order to choose is no memory of the run
            torch.cuda.reset_peak_memory_stats(self.device)
        return self.execution

    @property
    def resumed(self) -> list[int]:
        """Optimiser steps at which training was resumed, now too; known between `choose` and `train`."""
        return [] if self.saved is None else [*self.saved["resumed"], self.saved["trainer"]["steps"]]

    def join(self, group: Group) -> None:
        """Train and evaluate together with the other processes of a group."""
        self.group = group
        self.inference = replace(self.inference, group=group)

    def _compile(self) -> None:
        try:
            compile_parts(self.model, self.device)
        except UnavailableError as error:
            if self.saved is None:
                raise
            raise UnavailableError(
                f"{error}; the run was begun compiled: resume it where that works, or start from scratch "
                "with --force"
            ) from error

    def _choose_microbatch(self) -> None:
        """Settle how many puzzles of a batch are in memory at a time, where there is anything to train.

        Raises:
            UnavailableError: the training does not fit into what is free.
        """
        budget = self.identity.budget
        if budget is None or self.job.stored is not None or not self.spec.trained:
            return
        cells, requested, processes = self.info.cells, self.execution, self.execution.processes
        own, free = budget.batch_size // processes, self.job.memory
        if free is not None:
            free //= processes
        choice = choose_microbatch(self.model, cells, own, self.training, requested, self.device, free)
        each = f" (each of {processes} processes)" if processes > 1 else ""
        self.tell(f"memory of {self.job.run.description.model}{each}: {choice.reason}")
        self.execution = requested.model_copy(update={"microbatch": choice.puzzles})

    def _say(self, line: str) -> None:
        self.tell(f"{self.job.run.name}: {line}")

    def _work(self) -> float:
        """FLOPs of the whole run, at most."""
        budget, trained = self.identity.budget, self.model.supervision_steps
        scored = self.job.prepared.counts.get(self.identity.split, 0)
        answers = (
            min(scored, self.identity.limit or scored) * (self.identity.votes or 1) * self.rollouts.count
        )
        deepest = max(run.identity.steps or trained for run in self.job.runs)
        evaluation = self.flops.inference / trained * deepest * answers
        if budget is None or self.job.stored is not None:
            return evaluation
        return evaluation + budget.flops(self.flops.training_step, trained)

    def _build(self) -> Reasoner:
        assert self.spec.config is not None  # `resolve_model` has made sure of both
        assert self.spec.build is not None
        torch.manual_seed(named_seed("initial weights", self.identity.seed))
        model = self.spec.build(self.spec.config(**self.identity.architecture), self.info)
        return model.to(self.device)

    def load(self, stored: StoredWeights) -> Trained:
        """Load stored weights into the model."""
        blank = self.identity.puzzle_ids is PuzzleIds.BLANK
        found = load_weights(self.model, self.spec, stored.file, blank, stored.key)
        if found != stored.tensors:
            raise TrmBenchError(f"weights {stored.file}: changed since this run was planned; evaluate again")
        fields = {"weights_sha256": stored.sha256, "tensors_sha256": found, "weights_file": str(stored.file)}
        if stored.origin is None:
            return {**fields, "ledger": Ledger(), "weights": "external"}
        kept = {name: getattr(stored.origin, name) for name in ("ledger", "weights", "validation")}
        return {**fields, **kept}

    def train(self) -> Trained:
        """Train until the budget is spent; the averaged weights stay in the model."""
        if not self.spec.trained:
            return {"ledger": Ledger(), "weights": NO_WEIGHTS}
        spent, past = self._fit()
        ema, weights = self.training.ema, weights_by_name(self.model)
        fields: dict[str, Any] = {
            "weights_sha256": self.folder.write_weights(weights),
            "tensors_sha256": tensors_sha256(weights),
            "weights": f"averaged (EMA {ema:g})" if ema else "those of the last step",
            "validation": [line for line in self.log if "validation_exact" in line],
            "resumed": past["resumed"],
        }
        if len(past["codes"]) > 1:
            fields["not_citable_because"] = [*self.job.run.reasons, RESUMED_BY_ANOTHER]
            fields["citable"] = False
        return {**fields, "ledger": self._training_ledger(spent)}

    def follow(self) -> None:
        """Take part in what the first process of the group does, and write nothing."""
        if self.job.stored is not None:
            self.load(self.job.stored)
        elif self.spec.trained:
            self._fit()
        self._read()

    def _fit(self) -> tuple[Spent, dict[str, Any]]:
        """Train; gives what was spent, and what `_resume` gave."""
        trainer, clock = self.trainer(), Clock(self.execution)
        past = self._resume(trainer)

        def save(step: int) -> None:
            peak = {"peak_memory": self._peak_memory()}
            content = {"trainer": trainer.state(), "log": self.log, **past, **peak}
            if self.group.leads:
                with self._expendable():  # the next one may find room
                    write_checkpoint(self.folder.checkpoint, content)
            clock.saved(step)

        def due(step: int) -> bool:
            return self.group.leads and clock.due(step)

        with stoppable() as stop:
            keep = self._keep if self.group.leads else lambda line: None
            spent = trainer.run(Watcher(keep, self._validator(), save, due, stop))
        worth_it = self.group.leads and clock.worth_it(trainer.seconds())
        if any(self.group.either(worth_it)):  # the evaluation may be interrupted too
            save(trainer.steps)
        trainer.settle()
        trainer.require_finite()
        return spent, past

    @contextmanager
    def _expendable(self) -> Iterator[None]:
        """Continue without a file that the result does not need, if the disk refuses it; told once a file."""
        try:
            yield
        except OSError as error:
            if str(error.filename) not in self.refused:
                self.refused.add(str(error.filename))
                self.tell(f"{disk_problem(error) or error}; {self.job.run.name} continues without this file")

    def _keep(self, line: Metrics) -> None:
        """Keep a line of metrics, on disk too."""
        self.log.append(dict(line))
        with self._expendable():
            if self.refused:  # the last line on disk may be half a line
                self.folder.write_log(self.log)
            else:
                self.folder.log(line)
        self.on_metrics(line)

    def _validator(self) -> Callable[[Reasoner], Metrics]:
        validation = self._limited(self.job.prepared.read("validation"))
        rows = self.with_rows(validation)

        def validate(model: Reasoner) -> Metrics:
            return {"validation_exact": exact_share(predict(model, rows, self.inference), validation)}

        return validate

    def trainer(self) -> Trainer:
        """The training of this run's model on its draws, not yet started."""
        assert self.identity.budget is not None  # only external weights have none
        return Trainer(
            self.model,
            self._examples(),
            self.training,
            self.identity.budget,
            self.flops,
            cells=self.info.cells,
            device=self.device,
            execution=self.execution,
            group=self.group,
        )

    def _checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint; one that cannot be read is named and deleted."""
        path = self.folder.checkpoint
        saved = read_checkpoint(path)
        if saved is None and path.exists():
            problem = checkpoint_problem(path) or "cannot be read by this torch"
            self.tell(f"{path}: {problem}; the run starts from scratch")
            path.unlink()
        return saved

    def _resume(self, trainer: Trainer) -> dict[str, Any]:
        """Restore the last checkpoint; gives what the next one has to remember."""
        execution, saved, self.saved = self.execution.model_dump(mode="json"), self.saved, None
        if saved is None:
            return {"resumed": [], "codes": [_made_by()], "execution": execution}
        try:
            trainer.restore(saved["trainer"])
            self.earlier_peak = saved["peak_memory"]
            # Every code that trained, not the first alone: a run may come back to the machine it began on.
            codes = list(dict.fromkeys([*saved["codes"], _made_by()]))
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            first = str(error).splitlines()[0]
            raise TrmBenchError(
                f"{self.folder.checkpoint}: does not fit this model ({first}); --force starts from scratch"
            ) from error
        self.log = saved["log"]
        if self.group.leads:
            self.folder.write_log(self.log)
            self.on_metrics({RESUMED: max((line.get("spent", 0.0) for line in self.log), default=0.0)})
        resumed = [*saved["resumed"], trainer.steps]
        return {"resumed": resumed, "codes": codes, "execution": execution}

    def _training_ledger(self, spent: Spent) -> Ledger:
        return Ledger(
            optimiser_steps=spent.steps,
            draws=spent.draws,
            distinct_augmentations=self.stream.stream.distinct(spent.draws),
            supervision_steps=spent.supervision_steps,
            training_flops=spent.flops,
            training_seconds=spent.seconds,
            validation_seconds=spent.aside,
            device_seconds=spent.devices,
            processes=self.group.size,
        )

    def _limited(self, puzzles: PuzzleSet) -> PuzzleSet:
        return puzzles.take(slice(0, self.identity.limit))  # a limit of None takes all

    def with_rows(self, puzzles: PuzzleSet) -> PuzzleSet:
        """The puzzles with rows of the puzzle embedding for identifiers."""
        rows = self._puzzle_rows(puzzles)(np.arange(len(puzzles)), np.zeros(len(puzzles), np.int64))
        return replace(puzzles, identifiers=rows.astype(np.int32))

    def _puzzle_rows(self, puzzles: PuzzleSet) -> Callable[[Ints, Ints], Ints]:
        """From places in ``puzzles`` and augmentations to rows of the puzzle embedding, at evaluation."""
        table, which, seed = self.job.prepared.rows, self.identity.puzzle_ids, self.identity.task_seed

        def rows(items: Ints, ks: Ints) -> Ints:
            identifiers = puzzles.identifiers[items]
            if table is None:
                return identifiers.astype(np.int64)
            return table.at_evaluation(identifiers, ks, which, seed)

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
            task_seed=self.identity.task_seed,
            seed=self.identity.seed,
            exploration=Exploration(self.training.exploration, self.model.supervision_steps),
            identities=self.job.prepared.identities,
            rows=self.job.prepared.rows,
        )
        return self.stream

    def evaluate(self, trained: Trained, folders: Sequence[RunFolder], manifests: Sequence[Manifest]) -> None:
        """Read the split that the runs are scored on, once; write every run of the job."""
        (puzzles, reads), failed = self._read(), dict[str, str]()
        for folder, manifest, read in zip(folders, manifests, reads, strict=True):
            failed |= self._finish(folder, manifest, trained, puzzles, read)
        require_scored(failed)

    def _read(self) -> tuple[PuzzleSet, list[Read]]:
        """The puzzles that the runs are scored on, and their predictions for every run of the job."""
        puzzles = self._limited(self.job.prepared.read(self.identity.split))
        usual = self.model.supervision_steps
        depths = Depths(tuple(run.identity.steps or usual for run in self.job.runs), self.identity.halting)
        return puzzles, self.infer(puzzles, depths)

    def _finish(
        self, folder: RunFolder, manifest: Manifest, trained: Trained, puzzles: PuzzleSet, read: Read
    ) -> dict[str, str]:
        """Score and write a run; gives what evaluators that are not the task's own raised."""
        evaluators = [self.host.evaluators.get(part.full_name).spec for part in manifest.scored_by]
        on_test = self.identity.split == "test"  # features and extra files are those of the test puzzles
        features = self.job.prepared.features() if on_test else {}
        features = {name: column[: len(puzzles)] for name, column in features.items()}
        scored = partial(score, info=self.info, test=puzzles, predictions=read.predictions, features=features)
        records, failed = scores_of(evaluators, len(self.task.spec.evaluators), scored)
        predictions = pack_predictions(read.predictions, self.info, self.task.spec.symbols, puzzles)
        if on_test and self.task.spec.extra_files is not None:
            for name, content in self.task.spec.extra_files(self.info, puzzles, read.predictions).items():
                folder.write_extra(name, content)
        update = {
            **trained,
            "scored_by": [part for part in manifest.scored_by if part.name not in failed],
            "ledger": self._ledger(trained["ledger"], read, puzzles),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        folder.finish(manifest.model_copy(update=update), records, predictions)
        return failed

    def infer(self, test: PuzzleSet, depths: Depths) -> list[Read]:
        """Predict puzzles at several depths, by vote where the task has votes."""
        progress = self._show_evaluation
        if self.identity.votes is None:
            rows = self.with_rows(test)
            return infer(self.model, rows, self.inference, depths, progress=progress, rollouts=self.rollouts)
        blank = replace(test, targets=np.zeros_like(test.targets))
        views = Views(
            self._augmentation(blank, training=False),
            self.identity.task_seed,
            self._votes(test, self.identity.votes),
            self._puzzle_rows(test),
        )
        return infer(self.model, test, self.inference, depths, views, progress, self.rollouts)

    def _votes(self, test: PuzzleSet, most: int) -> Ints:
        """(N,) as many as the item has augmentations, up to ``most``."""
        identities = self.job.prepared.identities
        if identities is None:
            return np.full(len(test), most)
        return np.minimum(identities.augmentations[test.identifiers], most)

    def _show_evaluation(self, share: float) -> None:
        self.on_metrics({EVALUATED: share})

    def _peak_memory(self) -> int:
        return max(self.earlier_peak, peak_memory(self.device))

    def _ledger(self, training: Ledger, read: Read, test: PuzzleSet) -> Ledger:
        core, io, puzzle_embedding = count_parameters(self.model)
        predictions, puzzles = read.predictions, len(test)
        votes = 1.0 if predictions.ballots is None else float(predictions.ballots.votes.mean())
        identities = self.job.prepared.identities
        per_step = self.flops.inference / self.model.supervision_steps
        alone = Depths((predictions.steps,), predictions.halted)
        measured = {
            "inference_flops_per_puzzle": per_step * read.steps * votes * self.rollouts.count,
            "core_parameters": core,
            "io_parameters": io,
            "puzzle_embedding_parameters": puzzle_embedding,
            "inference_steps": predictions.steps,
            "steps_taken": read.steps,
            "evaluation_seconds": read.seconds,
            "puzzles_per_second": puzzles / read.seconds,
            "evaluation_batch": min(
                max(1, self.inference.batch_size // self.rollouts.count), round(puzzles * votes)
            ),
            "milliseconds_per_puzzle": milliseconds_per_puzzle(
                self.model, self.with_rows(test), self.inference, alone, self.rollouts
            ),
            "peak_memory_bytes": self._peak_memory(),
            "votes_per_puzzle": votes,
            "augmentations_of": {}
            if identities is None
            else dict(zip(identities.names.tolist(), identities.augmentations.tolist(), strict=True)),
        }
        return training.model_copy(update=measured)


def _made_by() -> str:
    return f"{provenance.code_fingerprint()} {torch.__version__}"


def _refuse_edited(host: Host, job: Job) -> None:
    """A plugin may have been edited while its runs waited."""
    installed = {(plugin.distribution, plugin.version) for plugin in host.plugins.values()}
    files = job.run.description.plugin_files
    for part in (*job.run.identity.parts, *job.run.scored_by):
        if part.full_name in files and (part.distribution, part.version) not in installed:
            raise TrmBenchError(
                f"{files[part.full_name]} was edited after this run was planned; run it again"
            )
        if part.code is not None and not part.code.startswith(UNKNOWN):
            plugin = getattr(host, f"{part.kind}s").get(part.full_name).plugin
            if fingerprint(plugin.module, plugin.distribution) != part.code:
                raise TrmBenchError(
                    f"the code of {part.full_name} was edited after this run was planned; run it again"
                )


def _fix_randomness(identity: RunIdentity) -> None:
    torch.set_num_threads(identity.threads)
    if identity.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS; ignored elsewhere
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # slow
