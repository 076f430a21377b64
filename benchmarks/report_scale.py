"""How long a report over the full official Sudoku-Extreme test set takes, and how much memory.

    python benchmarks/report_scale.py [ITEMS]

Writes four models of five seeds with 422,786 made-up items each into a scratch folder (a few minutes), then
prints the time and the peak memory of `trm-bench report` on them, run in a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from trm_bench.harness.api.budget import Budget, Ledger
from trm_bench.harness.planning.identity import run_name
from trm_bench.harness.store.folders import SAMPLES, RunFolder
from trm_bench.harness.store.records import Description, Manifest, PartIdentity, RunIdentity, Status

OFFICIAL_ITEMS, SEEDS = 422_786, 5
EVALUATORS = ("exact", "sudoku-valid", "cells")
MODELS = {"trm-mlp": 0.87, "trm-att": 0.75, "hrm": 0.55, "transformer": 0.01}


def part(kind: str, name: str) -> PartIdentity:
    """A part of trm-bench."""
    return PartIdentity(kind=kind, name=name, distribution="trm-bench", version="1.0")


def identity_of(model: str, seed: int) -> RunIdentity:
    """The identity of a made-up run."""
    return RunIdentity(
        procedure=1,
        task_version=1,
        scale="paper",
        fingerprints={split: split for split in ("train", "validation", "test")},
        task_seed=0,
        architecture={"model": model},
        training={},
        budget=Budget(amount=65_104, batch_size=768, augmentations=1000),
        seed=seed,
        device="cpu",
        threads=1,
        deterministic=True,
        parts=[part("task", "sudoku-extreme"), part("model", model)],
    )


def write_run(folder: Path, model: str, seed: int, right: np.ndarray) -> None:
    """One finished run without predictions, its samples at the fastest compression."""
    identity = identity_of(model, seed)
    lines = (
        f'{{"item":"test/sudoku-extreme_test.csv/{row}","cluster":"test/sudoku-extreme_test.csv/{row}",'
        f'"scores":{{"exact":{score},"sudoku-valid":{score},"cells":{0.9 + score / 10}}},'
        f'"extras":{{"steps":16.0,"halt_step":{1 + row % 16}.0,"cells.copy":0.31}}}}\n'
        for row, score in enumerate(right.tolist())
    )
    packed = gzip.compress("".join(lines).encode(), compresslevel=1, mtime=0)
    run = RunFolder(folder / run_name(model, identity))
    run.folder.mkdir(parents=True)
    (run.folder / SAMPLES).write_bytes(packed)
    manifest = Manifest(
        status=Status.DONE,
        run=run.name,
        identity=identity,
        description=Description(
            requested=model,
            model=model,
            display_name=model,
            primary="exact",
            cluster="puzzle",
            cells=81,
            supervision_steps=16,
            source_kind="made",
            source="made up",
            counts={"train": 1000, "validation": 64, "test": len(right)},
        ),
        ledger=Ledger(inference_steps=16),
        scored_by=[part("evaluator", name) for name in EVALUATORS],
        citable=False,
        started="2026-01-01T00:00:00+00:00",
        samples=len(right),
        samples_sha256=hashlib.sha256(packed).hexdigest(),
    )
    run.write_manifest(manifest)


def main() -> None:
    """Write the runs, and report on them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("items", nargs="?", type=int, default=OFFICIAL_ITEMS, metavar="ITEMS")
    items = parser.parse_args().items
    random = np.random.default_rng(0)
    difficulty = random.random(items)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "made-up"
        for model, skill in MODELS.items():
            for seed in range(SEEDS):
                right = skill + random.normal(0, 0.1, items) > difficulty
                write_run(folder, model, seed, right.astype(float))
        size = sum(path.stat().st_size for path in folder.rglob("*.gz"))
        print(f"{len(MODELS)} models × {SEEDS} seeds × {items:,} items, {size / 2**20:.0f} MiB of samples")
        started = time.perf_counter()
        command = [sys.executable, "-m", "trm_bench", "report", str(folder), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    pairs = len(json.loads(done.stdout)["tables"][0]["pairs"])
    print(f"report with {pairs} pairs: {seconds:.1f} s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
