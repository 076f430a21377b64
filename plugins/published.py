"""Numbers of the literature on the full tasks: exact match in percent, pass@2 on ARC.

Read off the papers and public reproductions. All are single runs without error bars, on data and with
augmentation that differ between the reports.
"""

from __future__ import annotations

from ..harness.api.published import Published
from ..harness.api.specs import BuildRequest

HRM = "HRM paper, arXiv 2506.21734"
TRM = "TRM paper, arXiv 2510.04871"
OTHERS = "public reproductions, lowest and highest"
PRIZE = "ARC Prize's own evaluation"
PROMPTED = "language model, in the tables of the HRM and TRM papers"

_ROWS = (
    # model, source, then Sudoku-Extreme, Maze-Hard, ARC-AGI-1 and ARC-AGI-2
    ("direct prediction, 27M", HRM, "0.0", "0.0", "21.0", "0.0"),
    ("HRM, 27M", HRM, "55.0", "74.5", "40.3", "5.0"),
    ("HRM, 27M", OTHERS, "45.8 to 63.5", "71.1", "", ""),
    ("HRM, 27M, public set", OTHERS, "", "", "41", ""),
    ("HRM, 27M, semi-private set", OTHERS, "", "", "32", "2"),
    ("TRM-Att, 7M", TRM, "74.7", "85.3", "44.6", "7.8"),
    ("TRM-Att, 7M", OTHERS, "66.8 to 77.7", "75 to 84", "38.5 to 44", "2.5 to 10"),
    ("TRM-Att, 7M", PRIZE, "", "", "40", "6.2"),
    ("TRM-MLP, 5M (19M on mazes and ARC)", TRM, "87.4", "0.0", "29.6", "2.4"),
    ("TRM-MLP, 5M", OTHERS, "75.6 to 87.9", "", "", ""),
    ("DeepSeek R1", PROMPTED, "0", "0", "15.8", "1.3"),
    ("o3-mini-high", PROMPTED, "0", "0", "34.5", "3.0"),
    ("Gemini 2.5 Pro 32K", PROMPTED, "", "", "37.0", "4.9"),
    ("Claude 3.7 16K", PROMPTED, "0", "0", "28.6", "0.7"),
    ("Grok-4-thinking", PROMPTED, "", "", "66.7", "16.0"),
)
_TASKS = ("sudoku-extreme", "maze-hard", "arc-agi-1", "arc-agi-2")


def published(task: str) -> tuple[Published, ...]:
    """Numbers reported on a task, in the order of the table above."""
    column = 2 + _TASKS.index(task)
    return tuple(Published(row[0], row[column], row[1]) for row in _ROWS if row[column])


def generated_summary(version: int, request: BuildRequest) -> str:
    """The line on generated puzzles in titles; at ``paper`` it warns of comparing with the numbers above."""
    warning = ": does not compare with published scores" if request.scale == "paper" else ""
    return f"generated v{version}, seed {request.seed}{warning}"
