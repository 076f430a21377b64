"""Work that is the same at every step, launched as one CUDA graph.

A step of a small network is some thousand small kernels; on a fast device the host cannot launch them
as quickly as they run. A graph is captured once and launched whole from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from ..api.errors import UsageError

Result = TypeVar("Result")
PLAIN_CALLS = 3
"""Before capture: what is made at the first call (moments, workspaces, compiled code) must be there."""


def check_optimizer(optimizer: str) -> None:
    """Refuse the optimisers whose step cannot be captured.

    Raises:
        UsageError: `torch.optim.Muon` reads its learning rate on the host; a graph would keep the first one.
    """
    if optimizer == "muon":
        raise UsageError(
            "setting graph=true goes with optimizer=adam-atan2, not with optimizer=muon: a CUDA graph would "
            "repeat its first learning rate; leave graph out"
        )


def repeated(work: Callable[[], Result], device: torch.device) -> Callable[[], Result]:
    """``work``, captured after a few plain calls; it must read and write the same memory at every call.

    The result is made of the same tensors at every call, and overwritten by the next.

    Raises:
        UsageError: the device is not CUDA.
    """
    if device.type != "cuda":
        raise UsageError(f"graph=true needs --device cuda: {device.type} has no graphs")
    return _Repeated(work, device)


class _Repeated(Generic[Result]):
    def __init__(self, work: Callable[[], Result], device: torch.device):
        self._work, self._calls = work, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._result: Result

    def __call__(self) -> Result:
        if self._graph is None and self._calls < PLAIN_CALLS:
            self._calls += 1
            return self._aside()
        if self._graph is None:
            self._graph = self._captured()
        self._graph.replay()
        return self._result

    def _aside(self) -> Result:
        """A plain call on a stream of its own, as capture asks of what comes before it."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = self._work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._result = self._work()
        return graph
