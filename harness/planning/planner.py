"""From a request to its grid."""

from __future__ import annotations

from ..api.specs import Progress, no_progress
from ..host.host import Host
from .evaluation_grid import plan_evaluation
from .grid import Grid
from .request import Request
from .training_grid import plan_training


def plan(host: Host, request: Request, progress: Progress = no_progress, fetch: bool = True) -> Grid:
    """Work out every run of a request; builds or reads the puzzles, runs nothing.

    Without ``fetch``, a grid that trains downloads none, see `grid.context_of`.

    Raises:
        UsageError: an unknown name, key or value, or something that must be given.
        NothingToReport: there are no weights to evaluate.
        DataError: a file is missing or wrong; names it.
    """
    return (
        plan_evaluation(host, request, progress)
        if request.weights
        else plan_training(host, request, progress, fetch=fetch)
    )
