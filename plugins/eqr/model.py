"""EqR, the equilibrium reasoner (arXiv 2605.21488): TRM from a random start, with damped and noisy updates.

Shapes: B batch, S positions, D hidden size.
"""

from __future__ import annotations

from torch import Tensor

from trm_bench import TRM, State, TaskInfo
from trm_bench.nn import truncated

from .config import EqRConfig


class EqR(TRM):
    """TRM whose latents are drawn for each puzzle, and whose updates keep a share and add noise.

    Random numbers come from `Reasoner.draw`, in training and at evaluation, so that one puzzle has several
    answers. With ``start=fixed``, ``damping=0`` and ``noise=0`` it is TRM.
    """

    def __init__(self, config: EqRConfig, task: TaskInfo):
        super().__init__(config, task)
        self.random_start = config.start == "random"
        self.damping, self.noise = config.damping, config.noise
        self.stochastic = self.random_start or self.noise > 0

    def initial_state(self, batch: int) -> State:
        """(y, z): each number truncated normal with standard deviation 1, unless the start is fixed."""
        fixed = super().initial_state(batch)
        if not self.random_start:
            return fixed
        return tuple(truncated(self.draw(part)).to(part.dtype) for part in fixed)

    def update(self, latent: Tensor, inject: Tensor) -> Tensor:
        """``damping * a + (1 − damping) * net(a + inject) + noise * ε``; see `TRM.update`."""
        new = super().update(latent, inject)
        if self.damping:
            new = self.damping * latent + (1 - self.damping) * new
        if self.noise:
            new = (new + self.noise * self.draw(new)).to(new.dtype)
        return new
