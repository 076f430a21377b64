"""Numbers of the literature on the full tasks, as known in November 2026.

Read off the papers and public reproductions; self-reported unless the source is another's. No two
reports have the same training puzzles, inference compute, metric and number of seeds, and none of them
enters a test.
"""

from __future__ import annotations

from typing import NamedTuple

from ..harness.api.published import Published
from ..harness.api.specs import BuildRequest


class Report(NamedTuple):
    """Where a number was reported, and when."""

    source: str
    date: str


def _paper(number: str) -> Report:
    """A paper by its arXiv number, which begins with year and month."""
    return Report(f"arXiv {number}", f"20{number[:2]}-{number[2:4]}")


HRM = _paper("2506.21734")
TRM = _paper("2510.04871")
VARC = _paper("2511.14761")
URM = _paper("2512.14693")
WTA = _paper("2601.19085")
LOOPVIT = _paper("2602.02156")
SE_RRM = _paper("2603.02193")
UTM = _paper("2604.21999")
LDT = _paper("2605.08605")
ATTRACTOR = _paper("2605.12466")
GRAM = _paper("2605.19376")
PTRM = _paper("2605.19943")
EQR = _paper("2605.21488")
FPRM = _paper("2606.18206")
FRM = _paper("2606.29150")
ALL_ROWS = _paper("2609.39967")
INFILOOP = _paper("2610.11570")
FLOWS = Report("Looped Flows", "2026-09, only its summary was read")
MDLARC = Report("mdlARC", "by 2026-11")
ENERGY = Report("energy study", "by 2026-11")
PRIZE = Report("ARC Prize", "by 2026-11, verified on hidden tasks")
OTHERS = Report("reproductions", "by 2026-11, lowest to highest")

LM = "prompted language model"
VIEWS = "up to 1000 views × 16 steps"
ARC_1, ARC_2 = "3,988 pairs", "5,573 pairs"

Row = tuple[str, str, str, str, str, str, Report]
"""Model, score, metric, training puzzles, inference, seeds, report; empty where not known.

A model that begins with a plus sign changes one thing in the row before it.
"""

_SUDOKU: tuple[Row, ...] = (
    ("direct prediction, 27M", "0.0", "solved", "1,000", "1 step", "1", HRM),
    ("HRM, 27M", "55.0", "solved", "1,000", "16 steps", "1", HRM),
    ("HRM, 27M", "45.8 to 63.5", "solved", "", "", "several", OTHERS),
    ("TRM-Att, 7M", "74.7", "solved", "1,000", "16 steps", "1", TRM),
    ("TRM-Att, 7M", "66.8 to 77.7", "solved", "", "", "several", OTHERS),
    ("TRM-MLP, 5M", "87.4", "solved", "1,000", "16 steps", "1", TRM),
    ("TRM-MLP, 5M", "75.6 to 87.9", "solved", "", "", "several", OTHERS),
    ("DeepSeek R1", "0", "solved", "", LM, "1", TRM),
    ("o3-mini-high", "0", "solved", "", LM, "1", TRM),
    ("Claude 3.7 8K", "0", "solved", "", LM, "1", TRM),
    ("URM, 13.65M", "77.6", "solved", "1,000", "16 steps", "1", URM),
    ("TRM in URM's code, disputed", "66.8", "solved", "1,000", "16 steps", "1", URM),
    ("WTA, 5M", "96.9 ± 0.6", "solved", "", "one chain of steps", "4 (one more left out)", WTA),
    ("WTA's baseline", "85.5 ± 1.3", "solved", "", "one chain of steps", "4 (one more left out)", WTA),
    ("SE-RRM, 2M", "93.73", "solved", "1,000", "16 steps", "1", SE_RRM),
    ("SE-RRM, 2M", "98.84", "solved", "1,000", "128 steps", "1", SE_RRM),
    ("TRM-Att in SE-RRM's code", "71.94", "solved", "", "", "1", SE_RRM),
    ("HRM in SE-RRM's code", "63.53", "solved", "", "", "1", SE_RRM),
    ("UTM", "57.4 ± 0.7", "solved", "3.8 million", "", "3", UTM),
    ("LDT, 0.8 to 1.8M", "100", "solved", "", "search over a lattice; may abstain", "1", LDT),
    ("Attractor, 27M", "91.4", "solved", "", "", "1", ATTRACTOR),
    ("Attractor, 7M", "54.3", "solved", "", "", "1", ATTRACTOR),
    ("GRAM, 10M", "97.0", "solved", "", "20 samples", "1", GRAM),
    ("GRAM's looped transformer, 7M", "61.3", "solved", "", "", "1", GRAM),
    ("TRM-MLP in PTRM", "87.28", "solved", "1,000", "16 steps", "1", PTRM),
    (
        *("PTRM, 7M", "98.75", "solved", "1,000"),
        *("100 × 64 steps: 400 times the FLOPs of 87.28; noise chosen on test puzzles", "1", PTRM),
    ),
    ("42-layer feed-forward", "2.6", "solved", "1,000", "", "1", EQR),
    ("+ tied weights", "32.6", "solved", "1,000", "", "1", EQR),
    ("+ outer loop", "74.7", "solved", "1,000", "", "1", EQR),
    ("+ two levels", "76.5", "solved", "1,000", "", "1", EQR),
    ("+ ACT: TRM in EqR's code", "84.8", "solved", "1,000", "16 steps", "1", EQR),
    ("EqR, 5M", "86.4", "solved", "1,000", "16 steps", "1", EQR),
    ("EqR, 5M", "93.0", "solved", "1,000", "64 steps", "1", EQR),
    ("EqR, 5M", "99.8", "solved", "1,000", "64 steps × 128 restarts: 512 times the FLOPs of 86.4", "1", EQR),
    ("FPRM", "94.2", "solved", "", "", "1", FPRM),
    ("FRM", "99.2 ± 0.3", "solved", "1,000, a fixed subset", "", "3", FRM),
    ("Looped Flows", "98.2", "solved", "", "", "1", FLOWS),
    ("model of 2609.39967, 13.6M", "98.41", "solved", "3.8 million", "", "1", ALL_ROWS),
    ("one-pass, 8 layers", "18.30", "solved", "3.8 million", "one pass", "1", ALL_ROWS),
    ("energy study, depth 9", "62.4 ± 0.3", "solved", "", "compute equal to its others", "3", ENERGY),
    ("energy study, depth 18", "50.1 ± 1.7", "solved", "", "compute equal to its others", "3", ENERGY),
    ("energy study, depth 36", "36.3 ± 0.8", "solved", "", "compute equal to its others", "3", ENERGY),
    ("energy study, looped control", "49.7 ± 2.1", "solved", "", "compute equal to its others", "3", ENERGY),
    ("InfiLoop, 6.8M", "97.9", "solved", "", "", "1", INFILOOP),
    ("TRM in InfiLoop's code", "73.6", "solved", "", "", "1", INFILOOP),
)

_MAZE_HARD: tuple[Row, ...] = (
    ("direct prediction, 27M", "0.0", "solved", "1,000", "1 step", "1", HRM),
    ("HRM, 27M", "74.5", "solved", "1,000", "16 steps", "1", HRM),
    ("HRM, 27M", "71.1", "solved", "", "", "1", OTHERS),
    ("TRM-Att, 7M", "85.3", "solved", "1,000", "16 steps", "1", TRM),
    ("TRM-Att, 7M", "75 to 84", "solved", "", "", "several", OTHERS),
    ("TRM-MLP, 19M", "0.0", "solved", "1,000", "16 steps", "1", TRM),
    ("DeepSeek R1", "0", "solved", "", LM, "1", TRM),
    ("o3-mini-high", "0", "solved", "", LM, "1", TRM),
    ("Claude 3.7 8K", "0", "solved", "", LM, "1", TRM),
    ("SE-RRM, 2M", "88.8", "solved", "1,000", "16 steps", "1", SE_RRM),
    ("LDT, 0.8 to 1.8M", "99.3", "valid and shortest", "", "K = 1; may abstain", "1", LDT),
    ("LDT, 0.8 to 1.8M", "99.9", "valid and shortest", "", "K = 512; may abstain", "1", LDT),
    ("Attractor, 27M", "93.1", "solved", "", "", "1", ATTRACTOR),
    ("Attractor, 7M", "46.7", "solved", "", "", "1", ATTRACTOR),
    ("TRM-Att in PTRM, 7M", "83.80", "solved", "1,000", "16 steps", "1", PTRM),
    (
        *("PTRM, 7M", "86.73", "solved", "1,000"),
        *("100 × 16 steps, most frequent answer; noise chosen on test puzzles", "1", PTRM),
    ),
    ("FPRM", "87.0", "solved", "", "", "1", FPRM),
    ("Looped Flows", "86.9", "solved", "", "", "1", FLOWS),
    ("model of 2609.39967, 13.6M", "84.7", "solved", "", "", "1", ALL_ROWS),
    ("one-pass, 8 layers", "8.00", "solved", "", "one pass", "1", ALL_ROWS),
    ("URM, trained by others", "80.2", "solved", "", "", "1", ALL_ROWS),
    ("InfiLoop, 6.8M", "87.4", "solved", "", "", "1", INFILOOP),
)

_MAZE_UNIQUE: tuple[Row, ...] = (
    ("HRM in EqR's code", "0.3", "solved", "1,000", "", "1", EQR),
    ("URM in EqR's code", "51.4", "solved", "1,000", "", "1", EQR),
    ("TRM in EqR's code, 0.26M", "44.9", "solved", "1,000", "16 steps", "1", EQR),
    ("+ random start", "68.6", "solved", "1,000", "16 steps", "1", EQR),
    ("EqR, 0.26M", "82.2", "solved", "1,000", "16 steps", "1", EQR),
    ("EqR, 0.26M", "88.9", "solved", "1,000", "64 steps", "1", EQR),
    ("EqR, 0.26M", "93.0", "solved", "1,000", "64 steps × 128 restarts", "1", EQR),
)

_ARC_1: tuple[Row, ...] = (
    ("direct prediction, 27M", "21.0", "pass@2", "", "1 step", "1", HRM),
    ("HRM, 27M", "40.3", "pass@2", "", VIEWS, "1", HRM),
    ("HRM, 27M, public set", "41", "pass@2", "", "", "1", OTHERS),
    ("HRM, 27M, semi-private set", "32", "pass@2", "", "", "1", PRIZE),
    ("TRM-Att, 7M", "44.6", "pass@2", ARC_1, VIEWS, "1", TRM),
    ("TRM-Att, 7M", "38.5 to 44", "pass@2", "", "", "several", OTHERS),
    ("TRM-Att, 7M, semi-private set", "40", "pass@2", "", "$1.76 a task", "1", PRIZE),
    ("TRM-MLP, 19M", "29.6", "pass@2", ARC_1, VIEWS, "1", TRM),
    ("DeepSeek R1", "15.8", "pass@2", "", LM, "1", TRM),
    ("o3-mini-high", "34.5", "pass@2", "", LM, "1", TRM),
    ("Gemini 2.5 Pro 32K", "37.0", "pass@2", "", LM, "1", TRM),
    ("Claude 3.7 16K", "28.6", "pass@2", "", LM, "1", TRM),
    ("Grok-4-thinking", "66.7", "pass@2", "", LM, "1", TRM),
    ("VARC, 18M, single", "54.5", "", "", "test-time training", "1", VARC),
    ("VARC, ensemble, 73M", "60.4", "", "", "test-time training", "", VARC),
    ("URM, 13.65M", "53.8", "pass@1", "", "", "1", URM),
    ("URM, trained by others", "49.75", "pass@1", "", "", "1", ALL_ROWS),
    ("URM, trained by others", "53.25", "pass@2", "", "", "1", ALL_ROWS),
    ("LoopViT, 18M", "65.8", "", "", "grids as images", "1", LOOPVIT),
    ("LoopViT, 3.8M", "60.1", "", "", "grids as images", "1", LOOPVIT),
    ("SE-RRM, 2M", "45.3", "pass@2", "", "8 augmentations", "1", SE_RRM),
    ("GRAM, 10M", "52.0", "", "", "", "1", GRAM),
    ("FPRM", "47.5", "", "", "", "1", FPRM),
    ("Looped Flows", "61.4", "", "", "", "1", FLOWS),
    ("model of 2609.39967, 13.6M", "59.5", "pass@2, whole tasks", "", "", "1", ALL_ROWS),
    ("one-pass, 8 layers", "30.75", "pass@1", "", "one pass", "1", ALL_ROWS),
    ("one-pass, 8 layers", "33.50", "pass@2", "", "one pass", "1", ALL_ROWS),
    ("InfiLoop, 6.8M", "49.1", "", "", "", "1", INFILOOP),
    ("mdlARC transformer, 75M", "44", "", "", "", "1", MDLARC),
)

_ARC_2: tuple[Row, ...] = (
    ("direct prediction, 27M", "0.0", "pass@2", "", "1 step", "1", HRM),
    ("HRM, 27M", "5.0", "pass@2", "", VIEWS, "1", HRM),
    ("HRM, 27M, semi-private set", "2", "pass@2", "", "", "1", PRIZE),
    ("TRM-Att, 7M", "7.8", "pass@2", ARC_2, VIEWS, "1", TRM),
    ("TRM-Att, 7M", "2.5 to 10", "pass@2", "", "", "several", OTHERS),
    ("TRM-Att, 7M, semi-private set", "6.2", "pass@2", "", "$2.10 a task", "1", PRIZE),
    ("TRM-MLP, 19M", "2.4", "pass@2", ARC_2, VIEWS, "1", TRM),
    ("DeepSeek R1", "1.3", "pass@2", "", LM, "1", TRM),
    ("o3-mini-high", "3.0", "pass@2", "", LM, "1", TRM),
    ("Gemini 2.5 Pro 32K", "4.9", "pass@2", "", LM, "1", TRM),
    ("Claude 3.7 16K", "0.7", "pass@2", "", LM, "1", TRM),
    ("Grok-4-thinking", "16.0", "pass@2", "", LM, "1", TRM),
    ("VARC, 18M, single", "8.3", "", "", "test-time training", "1", VARC),
    ("VARC, ensemble, 73M", "11.1", "", "", "test-time training", "", VARC),
    ("URM, 13.65M", "16.0", "pass@1", "", "", "1", URM),
    ("URM, trained by others", "5.83", "pass@1", "", "", "1", ALL_ROWS),
    ("URM, trained by others", "7.50", "pass@2", "", "", "1", ALL_ROWS),
    ("SE-RRM, 2M", "7.1", "pass@2", "", "8 augmentations", "1", SE_RRM),
    ("GRAM, 10M", "11.1", "", "", "", "1", GRAM),
    ("TRM in PTRM", "9.72", "pass@2", "", "16 steps for each view", "1", PTRM),
    ("PTRM, 7M", "9.72", "pass@2", "", "25 × 16 steps for each view", "1", PTRM),
    ("FPRM", "6.2", "", "", "", "1", FPRM),
    ("Looped Flows", "12.5", "", "", "", "1", FLOWS),
    ("model of 2609.39967, 13.6M", "11.67", "pass@2, whole tasks", "", "", "1", ALL_ROWS),
    ("one-pass, 8 layers", "1.67", "", "", "one pass", "1", ALL_ROWS),
    ("InfiLoop, 6.8M", "13.6", "", "", "", "1", INFILOOP),
    ("TRM in InfiLoop's code", "4.6", "", "", "", "1", INFILOOP),
)

_OFFICIAL = ("official", "hub")
_TASKS: dict[str, tuple[tuple[Row, ...], tuple[str, ...]]] = {
    "sudoku-extreme": (_SUDOKU, _OFFICIAL),
    "maze-hard": (_MAZE_HARD, _OFFICIAL),
    "maze-unique": (_MAZE_UNIQUE, ()),
    "arc-agi-1": (_ARC_1, ()),
    "arc-agi-2": (_ARC_2, ()),
}
"""Rows of a task, and the sources of its puzzles that they are about, empty for all."""


def published(task: str) -> tuple[Published, ...]:
    """Numbers reported on a task, in the order of the table above.

    They are about the puzzles of ``lite`` and ``paper``, which differ in the budget alone; where those can be
    generated in place of the published data set, only about the data set.
    """
    rows, puzzle_sources = _TASKS[task]
    return tuple(
        Published(
            *(model, score, report.source, metric, training, inference, seeds, report.date),
            scales=("lite", "paper"),
            puzzle_sources=puzzle_sources,
        )
        for model, score, metric, training, inference, seeds, report in rows
    )


def generated_summary(version: int, request: BuildRequest) -> str:
    """The line on generated puzzles in titles; at ``paper`` it warns of comparing with the numbers above."""
    warning = ": does not compare with published scores" if request.scale == "paper" else ""
    return f"generated v{version}, seed {request.seed}{warning}"
