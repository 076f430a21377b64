"""A number from the literature."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A number from the literature, printed next to ours as reported; it enters no test.

    Attributes:
        model: as its authors call it.
        score: percent as published, or a range of several reports.
        source: who reported it, in a form that can be cited.
        metric: what is counted, e.g. ``pass@2``. Here and below, empty where not known.
        training: puzzles that were trained on.
        inference: compute for one puzzle, e.g. ``64 steps × 128 restarts``.
        seeds: number of training runs behind the score.
        date: of the report, ``YYYY-MM``.
        scales: scales of the task whose test puzzles are of the size and kind of the published ones; the
            number is printed at no other.
        puzzle_sources: values of `BuildRequest.source` that give such puzzles; empty for all of them.
    """

    model: str
    score: str
    source: str
    metric: str = ""
    training: str = ""
    inference: str = ""
    seeds: str = ""
    date: str = ""
    scales: tuple[str, ...] = ("paper",)
    puzzle_sources: tuple[str, ...] = ()

    def fits(self, scale: str, puzzle_source: str) -> bool:
        """Whether the number is about puzzles of the size and kind that this scale and source give."""
        return scale in self.scales and (not self.puzzle_sources or puzzle_source in self.puzzle_sources)
