"""The model ``deep-thinking``: a recurrent convolutional network that recalls the question.

Source: Bansal et al. 2022, arXiv 2202.05826. One residual block of convolutions, at every iteration the same,
sees the features of the iteration before and, each time, the question: so it can continue for longer than it
was trained to without forgetting the question. B batch, C channels, H × W cells, V token codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from trm_bench import ModelSpec, TaskInfo, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trm_bench import Output, Reasoner, State

CITATION = """\
@inproceedings{bansal2022endtoend,
  title     = {End-to-end Algorithm Synthesis with Recurrent Networks: Logical Extrapolation
               Without Overthinking},
  author    = {Bansal, Arpit and Schwarzschild, Avi and Borgnia, Eitan and Emam, Zeyad and Huang, Furong
               and Goldblum, Micah and Goldstein, Tom},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2022}
}"""


class Config(BaseModel):
    """Sizes. One supervision step is a number of iterations; the next one continues from its features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(128, gt=0, description="C, features of a cell")
    iterations: int = Field(5, gt=0, description="times that the block is applied in a supervision step")
    supervision: int = Field(6, gt=0, description="supervision steps of a puzzle")


def build(config: Config, task: TaskInfo) -> Reasoner:
    """The untrained network; torch is imported here, so that `trm-bench list` stays fast."""
    from torch import cat, nn

    from trm_bench import Output, Reasoner

    C, grid = config.channels, (task.height, task.width)

    def conv(channels: int, out: int) -> nn.Conv2d:
        return nn.Conv2d(channels, out, kernel_size=3, padding=1, bias=False)

    class Block(nn.Module):
        """One iteration: the features and the question mixed, then two residual pairs of convolutions."""

        def __init__(self) -> None:
            super().__init__()
            self.recall = conv(2 * C, C)
            self.pairs = nn.ModuleList(nn.Sequential(conv(C, C), nn.ReLU(), conv(C, C)) for _ in range(2))

        def forward(self, y_BCHW: Tensor, x_BCHW: Tensor) -> Tensor:
            y_BCHW = self.recall(cat((y_BCHW, x_BCHW), dim=1))
            for pair in self.pairs:
                y_BCHW = (y_BCHW + pair(y_BCHW)).relu()
            return y_BCHW

    class DeepThinking(Reasoner):
        """``y = block(y, x)``, carried over supervision steps; every puzzle takes all of them."""

        supervision_steps = config.supervision

        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(task.vocab_size, C)
            self.block = Block()
            self.answer = nn.Sequential(conv(C, C // 2), nn.ReLU(), conv(C // 2, task.vocab_size))

        def initial_state(self, batch: int) -> State:
            return (self.embed.weight.new_zeros(batch, C, *grid),)

        def compiled_parts(self) -> Iterable[nn.Module]:
            return [self.block]

        def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
            x_BCHW = self.embed(inputs).mT.unflatten(2, grid)
            (y_BCHW,) = state
            for _ in range(config.iterations):
                y_BCHW = self.block(y_BCHW, x_BCHW)
            return (y_BCHW.detach(),), Output(self.answer(y_BCHW).flatten(2).mT)

    return DeepThinking()


@hookimpl
def trm_bench_register_models() -> list[ModelSpec]:
    """Registered with a recipe, so that ``--models deep-thinking`` is trained sensibly at mini."""
    return [
        ModelSpec(
            name="deep-thinking",
            summary="a recurrent convolutional network with recall (Bansal et al. 2022)",
            config=Config,
            build=build,
            recipes=Path(__file__).with_name("recipes.yaml"),
            citation=CITATION,
            api_version="1.0",
        )
    ]
