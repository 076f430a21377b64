"""One set of weights as a model that is ready to predict, for `trm-bench solve`."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.errors import UsageError
from ..api.reasoner import Reasoner
from ..api.specs import Progress, TaskSpec, no_progress
from ..data.prepare import Prepared
from ..host.host import Host, Part
from ..inference.inference import InferenceConfig
from ..training.gpus import Gpu, torch_device
from ..weights.files import load_weights
from .evaluation_context import evaluation_context
from .evaluation_grid import base_of
from .find_weights import find_weights, model_part
from .request import Request

ONE_PUZZLE = ("task_seed", "precision", "threads", "deterministic")
"""Settings that mean something where one puzzle is predicted, other than the task's own."""


@dataclass(frozen=True)
class OpenedWeights:
    """A model with its weights.

    Attributes:
        reasoner: on its device, in evaluation mode.
        model: what its row would be called.
        task: what it was trained for.
        prepared: the task's puzzles, with the rows of the model's puzzle embedding.
        inference: device and precision.
    """

    reasoner: Reasoner
    model: str
    task: Part[TaskSpec]
    prepared: Prepared
    inference: InferenceConfig


def open_weights(
    host: Host, request: Request, progress: Progress = no_progress, gpu: Gpu | None = None
) -> OpenedWeights:
    """The model of the one file or run that a request names, on a GPU if one is given.

    Raises:
        UsageError: see `plan_evaluation`; or the path holds several sets of weights.
        DataError: the weights are not those of the model.
    """
    files = find_weights(request.weights)
    if len(files) > 1:
        raise UsageError(f"{request.weights[0]} holds the weights of {len(files)} runs; name one of them")
    stored = files[0]
    context = evaluation_context(host, request, files, progress, fetch=False)  # only shapes matter
    known = {*context.task.spec.options, *ONE_PUZZLE}
    if idle := [key for key in request.settings if key not in known]:
        raise UsageError(f"setting {idle[0]}: means nothing for one puzzle; leave it out")
    job = base_of(host, context, stored)
    identity, spec = job.run.identity, model_part(host, job.run.identity).spec
    assert spec.build is not None
    assert spec.config is not None
    device = torch_device(request.device, gpu)
    reasoner = spec.build(spec.config(**identity.architecture), job.prepared.info).to(device)
    load_weights(reasoner, spec, stored.file, key=request.weights_key)
    inference = InferenceConfig(
        device, identity.training["precision"], vocabulary=job.prepared.info.vocab_size
    )
    name = job.run.description.display_name
    return OpenedWeights(reasoner.eval(), name, context.task, job.prepared, inference)
