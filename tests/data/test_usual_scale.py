"""The scale of a task where none is requested."""

from __future__ import annotations

import numpy as np
import pytest
from trm_bench.harness.data.prepare import usual_scale
from trm_bench.harness.host.host import host
from trm_bench.harness.python.api import prepare_run

import trm_bench
from trm_bench import NoAugmentation, PuzzleSet, Scale, Source, TaskData, TaskInfo, TaskSpec


def spec(*scales: str) -> TaskSpec:
    """A task with these scales: repeat the puzzle."""

    def build(request: trm_bench.BuildRequest) -> TaskData:
        tokens = np.array([[1, 2], [2, 1], [3, 1], [1, 3], [2, 3], [3, 2]], np.uint8)
        puzzles = PuzzleSet.single_identity(tokens, tokens, [f"p{row}" for row in range(6)])
        splits = (puzzles.take(slice(at, at + 2)) for at in (0, 2, 4))
        info = TaskInfo("echo", request.scale, height=1, width=2, vocab_size=4)
        return TaskData(info, *splits, Source("generated", "made"))

    return TaskSpec(
        name="echo",
        summary="",
        version=1,
        scales={name: Scale(name, "", steps=2, batch_size=2, augmentations=1) for name in scales},
        build=build,
        augmentation=lambda request: NoAugmentation(),
        evaluators=("exact",),
        primary="exact",
    )


@pytest.mark.parametrize(
    ("scales", "usual"),
    [(("mini", "paper"), "mini"), (("paper", "mini"), "mini"), (("large", "paper"), "large")],
)
def test_it_is_mini_or_the_first(scales: tuple[str, ...], usual: str) -> None:
    assert usual_scale(spec(*scales)) == usual


def test_preparing_and_running_agree_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    part = host().tasks.get("maze-hard")
    monkeypatch.setattr(host().tasks, "parts", [type(part)(spec("large"), part.plugin)])
    assert trm_bench.prepare("echo").info.scale == "large"
    grid = prepare_run("copy", "echo").grid
    assert grid is not None
    assert grid.context.scale == "large"
