"""A training step of ours and of the reference implementation, in turn, on a CPU, each in its own process.

    python benchmarks/against_reference.py CHECKOUT --scale paper --batch 8 --precision bf16 --evaluate

CHECKOUT is a clone of SamsungSAILMontreal/TinyRecursiveModels (tried: e7b6871; it needs einops). Same shape,
same threads, same precision. Ours is as in a run with ``compile=true``; the reference is compiled as a whole,
which is its default (``--eager`` for neither compiled). It is given torch's foreach AdamW, because its own
optimiser needs CUDA, and its own sparse-embedding optimiser and average. A ratio above 1 means that ours is
faster.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import Depths, infer
from trm_bench.harness.planning.models import split_models
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running.lifetime import keep_memory
from trm_bench.harness.running.worker import Worker
from trm_bench.harness.store.folders import RunFolder

FEWEST = 3
"""Pairs of turns that are timed at least."""
TURN = 1.0
"""Seconds of a turn, unless a single call takes longer."""


def ours(model: str, options: argparse.Namespace, compiled: bool) -> Worker:
    """Our model as a run would have it."""
    settings: dict[str, Any] = {
        "batch_size": options.batch,
        "precision": options.precision,
        "threads": options.threads,
        "compile": compiled,
    }
    brackets = "," if model.endswith("]") else "["
    same = f"{model.removesuffix(']')}{brackets}multiple=256]"  # the reference's own, whatever the recipe
    request = Request((same,), options.task, options.scale, (0,), source="generated", settings=settings)
    grid = plan_training(host(), request, at_most=256)
    worker = Worker(host(), grid.jobs[0], RunFolder(Path("unused")), lambda line: None, print_aside)
    worker.choose()
    return worker


def print_aside(line: str) -> None:
    """On standard error: standard output is for the results."""
    print(line, file=sys.stderr)


def reference(worker: Worker, options: argparse.Namespace) -> tuple[Callable[[], None], Any]:
    """A training step of the reference's model of the same shape, and its evaluation of a batch."""
    from models.ema import EMAHelper
    from models.losses import ACTLossHead
    from models.sparse_embedding import CastedSparseEmbeddingSignSGD_Distributed

    module = theirs(worker, options)
    head = ACTLossHead(module, "stablemax_cross_entropy")
    head.train()
    optimisers = [
        CastedSparseEmbeddingSignSGD_Distributed(
            module.puzzle_emb.buffers(), lr=1e-3, weight_decay=0.1, world_size=1
        ),
        torch.optim.AdamW(head.parameters(), lr=1e-4, weight_decay=0.1, betas=(0.9, 0.95), foreach=True),
    ]
    plain = head
    counts = [sum(p.numel() for p in model.parameters()) for model in (worker.model, module)]
    if counts[0] != counts[1]:
        print(f"parameters differ: ours {counts[0]:,}, reference {counts[1]:,}", file=sys.stderr)
    if not options.eager:
        head = torch.compile(head)
    average = EMAHelper(mu=0.999) if worker.training.ema else None
    if average:
        average.register(plain)
    batch = first_draws(worker, options.batch)
    state = {"carry": plain.initial_carry(batch)}

    def step() -> None:
        state["carry"], loss, *_ = head(carry=state["carry"], batch=batch, return_keys=[])
        (loss / options.batch).backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        if average:
            average.update(plain)

    def evaluate(inputs: np.ndarray, targets: np.ndarray) -> None:
        plain.eval()
        rows = {
            "inputs": torch.as_tensor(inputs).to(torch.int32),
            "labels": torch.as_tensor(targets).long(),
            "puzzle_identifiers": torch.zeros(len(inputs), dtype=torch.int32),
        }
        with torch.inference_mode():
            carry, done = plain.initial_carry(rows), False
            while not done:
                carry, *_, done = head(carry=carry, batch=rows, return_keys=[])

    return step, evaluate


def first_draws(worker: Worker, count: int) -> dict[str, torch.Tensor]:
    """The first examples of our run in the reference's form."""
    feed = worker.trainer().feed
    feed.refresh()
    fresh = feed.at(torch.arange(count))
    return {
        "inputs": fresh.inputs.to(torch.int32),
        "labels": fresh.targets.long(),
        "puzzle_identifiers": fresh.puzzle_ids.to(torch.int32),
    }


def theirs(worker: Worker, options: argparse.Namespace) -> Any:
    """The reference's model with our model's sizes."""
    from models.recursive_reasoning.hrm import HierarchicalReasoningModel_ACTV1
    from models.recursive_reasoning.trm import TinyRecursiveReasoningModel_ACTV1

    info, sizes = worker.info, worker.identity.architecture
    common = {
        "batch_size": options.batch,
        "seq_len": info.cells,
        "puzzle_emb_ndim": sizes["hidden"],
        "num_puzzle_identifiers": max(info.identifiers, 1),
        "vocab_size": info.vocab_size,
        "hidden_size": sizes["hidden"],
        "expansion": 4.0,
        "num_heads": sizes["heads"],
        "pos_encodings": "rope",
        "halt_max_steps": worker.model.supervision_steps,
        "halt_exploration_prob": 0.1,
        "forward_dtype": {"float32": "float32", "bf16": "bfloat16"}[options.precision],
    }
    if "updates" in sizes:
        mixer = sizes["mixer"] == "mlp"
        own = {
            "H_cycles": sizes["cycles"],
            "L_cycles": sizes["updates"],
            "H_layers": 0,
            "L_layers": sizes["blocks"],
            "mlp_t": mixer,
            "puzzle_emb_len": sizes["puzzle_emb_len"],
            "pos_encodings": "none" if mixer else "rope",
        }
        return TinyRecursiveReasoningModel_ACTV1({**common, **own})
    own = {
        "H_cycles": sizes["cycles"],
        "L_cycles": sizes["timesteps"],
        "H_layers": sizes["high_blocks"],
        "L_layers": sizes["low_blocks"],
    }
    return HierarchicalReasoningModel_ACTV1({**common, **own})


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def turn(work: Callable[[], object]) -> float:
    """Seconds of a call, the mean over a second's worth of them: in a run, too, one step follows another."""
    first = timed(work)  # the other side has emptied the caches
    if first > TURN:
        return first
    return timed(lambda: [work() for _ in range(round(TURN / first))]) / round(TURN / first)


def serve(who: str, model: str, options: argparse.Namespace, pipe: Connection) -> None:
    """One side in a process of its own: seconds of a step or an evaluation, whenever the other end asks."""
    sys.path.insert(0, options.checkout)
    torch.set_num_threads(options.threads)
    if who == "ours":
        keep_memory()  # as a run does
    worker = ours(model, options, compiled=who == "ours" and not options.eager)
    test = worker.with_rows(worker.job.prepared.read("test")).take(slice(0, options.batch))
    if who == "ours":
        trainer, depths = worker.trainer(), Depths((worker.model.supervision_steps,))
        calls: dict[str, Callable[[], object]] = {
            "step": trainer.step,
            "evaluate": lambda: infer(worker.model, test, worker.inference, depths),
        }
    else:
        step, evaluate = reference(worker, options)
        calls = {"step": step, "evaluate": lambda: evaluate(test.inputs, test.targets)}
    while (call := pipe.recv()) != "end":
        pipe.send(turn(calls[call]))


class Sides:
    """Both sides, called in turn: while one works the other waits."""

    def __init__(self, model: str, options: argparse.Namespace):
        context = multiprocessing.get_context("spawn")
        self.pipes = []
        for who in ("ours", "theirs"):
            here, there = context.Pipe()
            context.Process(target=serve, args=(who, model, options, there), daemon=True).start()
            there.close()
            self.pipes.append(here)

    def seconds(self, call: str) -> tuple[float, float]:
        """One call of each."""
        both = []
        for pipe in self.pipes:
            pipe.send(call)
            both.append(pipe.recv())
        return both[0], both[1]

    def in_turn(self, call: str, seconds: float) -> dict[str, float]:
        """Medians of both, and the median of the ratios reference / ours of neighbours."""
        first = self.seconds(call)
        self.seconds(call)
        pairs: list[tuple[float, float]] = []
        began = time.perf_counter()
        while len(pairs) < FEWEST or time.perf_counter() - began < seconds:
            pairs.append(self.seconds(call))
        mine, reference = zip(*pairs, strict=True)
        ratios = sorted(b / a for a, b in pairs)
        return {
            "first_s": round(first[0], 2),
            "reference_first_s": round(first[1], 2),
            "ms": round(1000 * statistics.median(mine), 1),
            "reference_ms": round(1000 * statistics.median(reference), 1),
            "ratio": round(statistics.median(ratios), 3),
            "least": round(ratios[0], 3),
            "most": round(ratios[-1], 3),
            "pairs": len(pairs),
        }

    def end(self) -> None:
        """Let both processes go."""
        for pipe in self.pipes:
            pipe.send("end")


def measure(model: str, options: argparse.Namespace) -> dict[str, object]:
    """Everything about one model."""
    sides = Sides(model, options)
    result: dict[str, object] = {"model": model, "step": sides.in_turn("step", options.seconds)}
    if options.evaluate:
        result["evaluation"] = sides.in_turn("evaluate", options.seconds / 2)
    sides.end()
    return result


def main() -> None:
    """Print a line of JSON for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkout")
    parser.add_argument("--models", default="trm-mlp,trm-att,hrm")
    parser.add_argument("--task", default="sudoku-extreme")
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--eager", action="store_true", help="compile neither")
    parser.add_argument("--evaluate", action="store_true", help="evaluate a batch at full depth, too")
    options = parser.parse_args()
    for model in split_models(options.models):
        print(json.dumps({**measure(model, options), **vars(options)}), flush=True)


if __name__ == "__main__":
    main()
