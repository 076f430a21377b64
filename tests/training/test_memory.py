"""The memory forecast: what a real step keeps alive, for any model and portion, without allocating."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from support.training import CPU, INFO, MODELS, steps, trainer
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner, State
from trm_bench.harness.nn.loss import step_loss
from trm_bench.harness.training.config import TrainingConfig
from trm_bench.harness.training.costs import build_shapes
from trm_bench.harness.training.device import autocast
from trm_bench.harness.training.memory import (
    ByPortion,
    Memory,
    NotForecast,
    Training,
    _Alive,
    _measured,
    forecast,
)
from trm_bench.harness.training.supervision import ALL, continue_target
from trm_bench.hrm_baseline.config import HRMConfig
from trm_bench.hrm_baseline.model import HRM
from trm_bench.trm.config import TRMConfig
from trm_bench.trm.model import TRM

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
BATCH = 48
BF16 = TrainingConfig(precision="bf16")


def small(name: str, precision: str = "bf16", recompute: bool = False, device: str = "cpu") -> Training:
    """A training of one of the small models; the settings are those of `support.training.trainer`."""
    config = TrainingConfig(precision=precision, lr=3e-3, warmup=5, ema=0.9)
    return Training(MODELS[name](), INFO.cells, BATCH, config, device, recompute)


def published(task: TaskInfo, config: TrainingConfig = BF16, **options: int) -> Training:
    """TRM-Att in its published size, of which nothing is allocated."""
    shapes = build_shapes(lambda info: TRM(TRMConfig(**options), info), task)
    return Training(shapes, task.cells, 768, config, "cuda")


@pytest.mark.parametrize(("precision", "recompute"), [("float32", False), ("bf16", True)])
@pytest.mark.parametrize("name", list(MODELS))
def test_a_forecast_is_what_a_real_step_keeps_alive_to_the_byte(
    name: str, precision: str, recompute: bool
) -> None:
    with _Alive() as alive:
        real = trainer(name, steps(9, batch=BATCH), precision=precision, recompute=recompute)
        real.feed.refresh()
        gc.collect()
        measured = _measured(real, alive)
    assert forecast(small(name, precision, recompute)) == measured.reserved_for("cpu")


@pytest.mark.parametrize("name", list(MODELS))
def test_activations_are_at_least_what_autograd_saves_and_no_more_than_half_as_much_again(name: str) -> None:
    one = trainer(name, steps(9, batch=BATCH), precision="bf16")
    own = {tensor.untyped_storage()._cdata for tensor in (*one.model.parameters(), *one.model.buffers())}
    saved: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    one.feed.refresh()
    one.slots.refill(one.feed)
    part = one.slots.part(ALL)
    with saved_tensors_hooks(note, lambda tensor: tensor):
        with autocast(CPU, "bf16"):
            state, output = one.model(part.state, part.inputs, part.puzzle_ids)
            target = continue_target(part, state)
        step_loss(output, part.targets, target)
    kept = sum(storage.nbytes() for key, storage in saved.items() if key not in own)
    assert kept <= forecast(small(name)).activations <= 1.5 * kept


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", list(MODELS))
def test_the_line_between_two_counts_is_never_below_a_count_and_close_to_it(
    name: str, recompute: bool
) -> None:
    training = small(name, recompute=recompute)
    portions = ByPortion(training)
    assert portions.at(BATCH) == forecast(training)
    direct = forecast(training, 16).activations
    assert direct <= portions.at(16).activations <= 1.2 * direct
    assert portions.at(1) == portions.at(2)


def test_the_published_size_is_extrapolated_within_a_percent() -> None:
    training = published(TaskInfo("maze", "paper", 30, 30, 6), updates=4)
    direct, line = forecast(training, 96).total, ByPortion(training).at(96).total
    assert direct <= line <= 1.01 * direct


def test_weights_moments_gradients_average_and_table_are_counted_where_they_belong() -> None:
    rows = 10**7  # 20 GB
    task = TaskInfo("many", "paper", 2, 3, 5, rows)
    training = published(task, TrainingConfig(precision="float32"), updates=1)
    parameters = sum(4 * parameter.numel() for parameter in training.model.parameters())
    buffers = sum(4 * buffer.numel() for buffer in training.model.buffers())
    memory = forecast(training, 1)
    assert memory.puzzle_embedding == 4 * 512 * rows
    assert memory.weights == parameters + buffers - memory.puzzle_embedding
    assert memory.optimiser == 4 * parameters  # gradient, two moments, average
    without = forecast(published(task, TrainingConfig(precision="float32", ema=0), updates=1), 1)
    assert without.optimiser == 3 * parameters
    muon = forecast(
        published(task, TrainingConfig(precision="float32", ema=0, optimizer="muon"), updates=1), 1
    )
    assert 2 * parameters < muon.optimiser < 2.01 * parameters  # one moment of every matrix


def test_a_gpu_has_no_attention_scores_in_memory_and_a_cpu_in_bf16_has() -> None:
    task = TaskInfo("maze", "paper", 30, 30, 6)
    gpu = published(task, updates=4)
    cpu = Training(gpu.model, gpu.cells, gpu.batch, gpu.config, "cpu")
    scores = 4 * 8 * 916**2  # of one block and puzzle in float32
    assert forecast(cpu, 2).activations > forecast(gpu, 2).activations + 2 * 10 * scores


def test_computing_again_takes_a_fraction_of_the_activations() -> None:
    task = TaskInfo("maze", "paper", 30, 30, 6)
    shapes = build_shapes(lambda info: HRM(HRMConfig(), info), task)
    whole = Training(shapes, task.cells, 768, BF16, "cuda")
    again = Training(shapes, task.cells, 768, BF16, "cuda", recompute=True)
    assert forecast(again).activations < 0.25 * forecast(whole).activations
    assert forecast(again).weights == forecast(whole).weights


def test_a_forecast_changes_neither_the_model_nor_its_random_numbers() -> None:
    training = small("hrm", recompute=True)
    before, random = copy.deepcopy(training.model.state_dict()), torch.get_rng_state()
    forecast(training, 3)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[key]) for key, tensor in training.model.state_dict().items())
    assert all(parameter.grad is None for parameter in training.model.parameters())


def test_the_reserve_is_part_of_the_total() -> None:
    memory = Memory(100, 200, 300, 400, 1000)
    for device, reserve in (("cpu", 1000), ("cuda", 200)):
        reserved = memory.reserved_for(device).reserved_for(device)
        assert (reserved.reserve, reserved.total) == (reserve, 2000 + reserve)


class Reading(Reasoner):
    """Looks at its numbers, and has a tensor that is neither a parameter nor a buffer."""

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(INFO.vocab_size, INFO.vocab_size)
        self.scale, self.reads = torch.ones(INFO.vocab_size), reads

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        logits = self.scale * self.embed(inputs)
        if self.reads and float(logits.sum()) > 0:
            logits = -logits
        return state, Output(logits)


def test_a_model_that_reads_its_numbers_is_not_forecast_and_says_so() -> None:
    with pytest.raises(NotForecast, match="its forward pass reads numbers"):
        forecast(Training(Reading(True), INFO.cells, 4, BF16, "cpu"))


@pytest.mark.parametrize("shapes", [False, True])
def test_a_tensor_that_is_no_parameter_is_no_obstacle(shapes: bool) -> None:
    model = build_shapes(lambda info: Reading(False), INFO) if shapes else Reading(False)
    assert forecast(Training(model, INFO.cells, 4, BF16, "cpu")).activations > 0
