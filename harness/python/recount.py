"""What `verify` computes again of a run's costs: parameters and FLOPs, from its model alone."""

from __future__ import annotations

import json
from math import isclose

from ..api.puzzles import TaskInfo
from ..host.host import Host
from ..planning.identity import part_identity
from ..store.records import Manifest
from ..training.costs import Flops, count_flops, count_parameters


class Recount:
    """Counts the models of runs; one that several runs share is counted once."""

    def __init__(self, plugins: Host):
        self.host = plugins
        self._counted: dict[str, tuple[tuple[int, int, int], Flops, int]] = {}

    def problems(self, info: TaskInfo, manifest: Manifest) -> list[str]:
        """Costs of a run's ledger that are not those of its model.

        Raises:
            Exception: the model cannot be built; it is a plugin's code.
        """
        parameters, flops, steps = self._count(info, manifest)
        ledger, rollouts = manifest.ledger, manifest.identity.rollouts
        answers = ledger.votes_per_puzzle * (1 if rollouts is None else rollouts.count)
        taken = ledger.steps_taken or ledger.inference_steps  # earlier ledgers have no mean
        named = (ledger.core_parameters, ledger.io_parameters, ledger.puzzle_embedding_parameters)
        problems = []
        if named != parameters:
            problems.append(f"its parameters are not those of its model: {named} instead of {parameters}")
        costs = {
            "training_flops": ledger.supervision_steps * flops.training_step,
            "inference_flops_per_puzzle": flops.inference / steps * taken * answers,
        }
        for name, value in costs.items():
            if not isclose(getattr(ledger, name), value, rel_tol=1e-6):
                problems.append(f"{name} is {getattr(ledger, name):.4g}, and its model takes {value:.4g}")
        return problems

    def installed(self, manifest: Manifest) -> bool:
        """Whether its model is the one that is installed here."""
        made_by = manifest.identity.part("model")
        part = self.host.models.get(made_by.full_name)
        return part_identity("model", part) == made_by

    def _count(self, info: TaskInfo, manifest: Manifest) -> tuple[tuple[int, int, int], Flops, int]:
        identity = manifest.identity
        name = identity.part("model").full_name
        key = json.dumps([name, identity.architecture, info.cells, info.vocab_size], default=str)
        if key not in self._counted:
            spec = self.host.models.get(name).spec
            assert spec.build is not None
            assert spec.config is not None
            model = spec.build(spec.config(**identity.architecture), info)
            self._counted[key] = (
                count_parameters(model),
                count_flops(model, info.cells),
                model.supervision_steps,
            )
        return self._counted[key]
