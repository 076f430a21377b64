"""A model that predicts from a script, and its weights as `trm-bench solve` gets them opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from trm_bench.harness.api.embedding_rows import EmbeddingRows
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.api.puzzles import Identities, Source, TaskInfo, Tokens
from trm_bench.harness.api.reasoner import Halting, Output, Reasoner, State
from trm_bench.harness.cli.solve import command
from trm_bench.harness.data.prepare import Prepared
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import InferenceConfig
from trm_bench.harness.inference.one_puzzle import EmbeddingRow, Solved, trace
from trm_bench.harness.planning.open_weights import OpenedWeights

from trm_bench import Puzzle, RuleCheck

SUDOKU = TaskInfo("sudoku-extreme", "mini", 6, 6, 8)
SUDOKU_9 = TaskInfo("sudoku-extreme", "lite", 9, 9, 11)
MAZE = TaskInfo("maze-hard", "mini", 5, 5, 6)
ARC = TaskInfo("arc-agi-1", "mini", 6, 6, 12, identifiers=3)


class Scripted(Reasoner):
    """Predicts one row of a script after another, and wants to halt from a given step on."""

    halting = Halting.HALT_LOGIT

    def __init__(self, script: Sequence[Tokens], vocab: int, halts_at: int = 2) -> None:
        super().__init__()
        self.supervision_steps = len(script)
        self.script, self.vocab, self.halts_at = script, vocab, halts_at
        self.rows: list[int] = []

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch, dtype=torch.int64),)

    def forward(self, state: State, inputs: torch.Tensor, puzzle_ids: torch.Tensor) -> tuple[State, Output]:
        step = int(state[0][0])
        self.rows.append(int(puzzle_ids[0]))
        tokens = torch.from_numpy(self.script[min(step, len(self.script) - 1)].astype(np.int64))
        logits = torch.nn.functional.one_hot(tokens, self.vocab).float()[None]
        q_halt = torch.full((1,), float(step + 1 - self.halts_at) + 0.5)
        return (state[0] + 1,), Output(logits, q_halt)


def opened(reasoner: Reasoner, info: TaskInfo, names: Sequence[str] = ()) -> OpenedWeights:
    """What `open_weights` gives; with ``names``, of which the last was not trained on."""
    prepared = Prepared(Path(), info, Source("generated", "made up"), {}, {}, "")
    if names:
        identities = Identities(np.array(names), np.full(len(names), 8), np.array([""] * len(names)))
        rows = EmbeddingRows.lay_out(identities, np.arange(len(names) - 1), 4)
        prepared = replace(prepared, identities=identities, rows=rows)
    task, inference = host().tasks.get(info.task), InferenceConfig(torch.device("cpu"))
    return OpenedWeights(reasoner.eval(), "scripted", task, prepared, inference)


def solve(monkeypatch: pytest.MonkeyPatch, there: OpenedWeights, *words: object, **call: Any) -> Result:
    """`trm-bench solve` with weights that are already open; errors end it as `main` would."""
    monkeypatch.setattr("trm_bench.harness.python.verbs.open_weights", lambda *_, **__: there)
    arguments = [str(word) for word in (*words, "--weights", "model.safetensors")]

    @click.command(
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False
    )
    def main() -> None:
        try:
            command.main(arguments, standalone_mode=False)
        except TrmBenchError as error:
            click.echo(f"error: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error

    return CliRunner().invoke(main, **call)


# --- a Sudoku, and a model that solves it in three steps ------------------------------------------


def sudoku_tokens(text: str) -> Tokens:
    return np.array([1 if cell == "." else int(cell) + 1 for cell in text if cell != "\n"], np.uint8)


def at(cells: dict[int, int], tokens: Tokens) -> Tokens:
    """The tokens with some digits changed."""
    changed = tokens.copy()
    for cell, digit in cells.items():
        changed[cell] = digit + 1
    return changed


SOLUTION = sudoku_tokens("312456456312123564564123231645645231")
PUZZLE = Puzzle(
    at(dict.fromkeys((0, 3, 10, 35), 0), SOLUTION)[None],
    SOLUTION[None],
    None,
    "a Sudoku",
    "the only solution",
)
TEXT = "".join("." if token == 1 else str(token - 1) for token in PUZZLE.inputs[0])
SCRIPT = [at({0: 1, 3: 2}, SOLUTION), at({0: 1}, SOLUTION), SOLUTION]
"""Two wrong cells, one, none."""
SYMBOLS = ("", "", *"123456")
CONFIG = InferenceConfig(torch.device("cpu"))


def solved(script: Sequence[Tokens] = SCRIPT, puzzle: Puzzle = PUZZLE, vocab: int = 8) -> Solved:
    found = trace(Scripted(script, vocab), puzzle, 0, CONFIG)
    return Solved(puzzle, EmbeddingRow(0), found, RuleCheck(None, ""), None)
