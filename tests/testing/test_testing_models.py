"""What `trm_bench.testing` finds in models: correct ones pass, each kind of broken one is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from support.findings import failed
from support.reasoners import HIDDEN, Correct, caught, spec
from torch import Tensor, nn
from torch.nn import functional
from trm_bench.harness.api.errors import UsageError
from trm_bench.testing import TINY_INFO, NotConforming, check_model
from trm_bench.testing.models import CHECKS, find_in_model

from trm_bench import Halting, Output, Reasoner, TaskInfo

pytestmark = pytest.mark.usefixtures("one_thread")

BUILD, OUTPUT, STATE, FINITE = (
    "it is built",
    "right shape and are finite",
    "its state",
    "losses are finite",
)
GRADIENT, ROWS, SEED, SAVED = "gradient reaches", "rows of a batch", "the same seed", "saved weights"
ANSWERS = "several answers differ"
ONE, HALTS, MEMORY, FLOPS = "batch of one", "halting policy", "remembered from batch", "FLOPs can be counted"
BF16 = "trains in bf16"
RECIPE = "section of its recipe"


# --- sound models ----------------------------------------------------------------------------------


class OnePass(Correct):
    supervision_steps = 1
    halting = Halting.NONE

    def __init__(self, task: TaskInfo):
        super().__init__(task)
        del self.halt

    def initial_state(self, batch: int) -> Any:
        return ()

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        before = torch.zeros(len(inputs), self.cells, HIDDEN, device=inputs.device)
        return state, Output(self.head(self.mixed(before, inputs)))


class TwoLogits(Correct):
    """Both logits come from one map, and the second is trained by a second pass."""

    halting = Halting.Q_LEARNING

    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.halt = nn.Linear(HIDDEN, 2)

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        y = self.mixed(state[0], inputs)
        q_halt, q_continue = self.halt(y.mean(1)).float().unbind(1)
        return (y.detach(),), Output(self.head(y), q_halt=q_halt, q_continue=q_continue)


class Compared(TwoLogits):
    """The second is left untrained."""

    halting = Halting.Q_COMPARE


class Dropped(Correct):
    """Draws numbers in training, and only there."""

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return functional.dropout(super().mixed(before, inputs), 0.3, self.training)


class Tabled(Correct):
    """Keeps random numbers, as a buffer."""

    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.register_buffer("table", torch.randn(HIDDEN))

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before + self.table, inputs)


class Known(Correct):
    """Knows which puzzle it sees."""

    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.who = nn.Embedding(task.identifiers, HIDDEN)

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        return super().forward((state[0] + self.who(puzzle_ids)[:, None],), inputs, puzzle_ids)


@pytest.mark.parametrize("kind", [Correct, OnePass, TwoLogits, Compared, Dropped, Tabled, Known])
def test_a_correct_model_passes_every_check(kind: type[Correct]) -> None:
    findings = check_model(spec(kind))
    assert len(findings) == len(CHECKS)
    assert all(finding.ok for finding in findings)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("trm", "trm-att", "trm-mlp", "hrm", "transformer", "transformer-looped", "copy"),
        *("trm[mixer=attention]", "trm[latents=1]", "hrm[halting=none]", "trm[networks=2,halting=two-pass]"),
    ],
)
def test_the_built_in_models_pass(name: str) -> None:
    assert len(check_model(name)) == len(CHECKS)


def test_a_model_is_checked_at_the_requested_shape() -> None:
    info = TaskInfo("wide", "mini", height=2, width=5, vocab_size=9, identifiers=3)
    assert all(finding.ok for finding in find_in_model(spec(Known), info))
    assert all(finding.ok for finding in find_in_model("transformer", info))

    class Square(Correct):
        def __init__(self, task: TaskInfo):
            super().__init__(replace(task, height=4, width=4))

    assert not caught(Square)
    assert failed(find_in_model(spec(Square), info))


def test_what_is_not_trained_needs_no_gradient() -> None:
    class Guess(Reasoner):
        def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
            return state, Output(functional.one_hot(inputs, TINY_INFO.vocab_size).float())

    findings = check_model(spec(lambda task: Guess(), trained=False))
    assert sum(finding.words == "nothing is trained" for finding in findings) == 4


# --- broken models ---------------------------------------------------------------------------------


class Narrow(Correct):
    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        after, output = super().forward(state, inputs, puzzle_ids)
        return after, replace(output, logits=output.logits[..., 1:])


class NotANumber(Correct):
    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        after, output = super().forward(state, inputs, puzzle_ids)
        return after, replace(output, logits=(output.logits - 1e9).log())


class Growing(Correct):
    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        after, output = super().forward((state[0][:, : self.cells],), inputs, puzzle_ids)
        return (torch.cat([state[0], after[0]], 1),), output


class Attached(Correct):
    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        y = self.mixed(state[0], inputs)
        return (y,), Output(self.head(y), q_halt=self.q(y))


class Endless(Correct):
    """Its gradient is finite, its loss is not."""

    def q(self, y: Tensor) -> Tensor:
        return super().q(y) + float("inf")


class Unused(Correct):
    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.gate = nn.Parameter(torch.ones(HIDDEN))


class Cut(Correct):
    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before + self.embed(inputs).detach() - self.embed(inputs), inputs)


class BatchNorm(Correct):
    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.norm = nn.BatchNorm1d(HIDDEN)

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return self.norm(super().mixed(before, inputs).transpose(1, 2)).transpose(1, 2)


class Centred(Correct):
    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        y = super().mixed(before, inputs)
        return y - y.mean(0)


class Unseeded(Correct):
    def __init__(self, task: TaskInfo):
        super().__init__(task)
        drawn = np.random.default_rng().normal(size=(task.cells, task.cells))
        self.mix.weight.data.copy_(torch.from_numpy(drawn))


class Reseeded(Correct):
    def __init__(self, task: TaskInfo):
        torch.seed()
        super().__init__(task)


class OutsideBuffers(Correct):
    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.scale = float(torch.rand(()))

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before + self.scale, inputs)


class TensorOutsideBuffers(Correct):
    """A plain tensor does not follow the model to another device either."""

    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.table = torch.randn(HIDDEN)

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before + self.table, inputs)


class Squeezed(Correct):
    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before, inputs).squeeze()


class NoLogit(TwoLogits):
    halting = Halting.Q_COMPARE

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        after, output = super().forward(state, inputs, puzzle_ids)
        return after, replace(output, q_continue=None)


class Half(Correct):
    def q(self, y: Tensor) -> Tensor:
        return super().q(y).bfloat16()


class Wide(Correct):
    def q(self, y: Tensor) -> Tensor:
        return super().q(y).double()


class Lower(Correct):
    def q(self, y: Tensor) -> Tensor:
        return self.halt(y.mean(1)).squeeze(1)  # type: ignore[no-any-return]


class Unsqueezed(Correct):
    def q(self, y: Tensor) -> Tensor:
        return super().q(y)[:, None]


class Mindful(OnePass):
    """Remembers the batch before the last one."""

    def __init__(self, task: TaskInfo):
        super().__init__(task)
        self.batches: list[Tensor] = []

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        _, output = super().forward(state, inputs, puzzle_ids)
        self.batches.append(output.logits.detach())
        old = self.batches[-3] if len(self.batches) > 2 else 0
        return state, replace(output, logits=output.logits + old)


class Carried(Correct):
    """Carries its state itself."""

    supervision_steps = 1
    before: Tensor | None = None

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        y = self.mixed(state[0] if self.before is None else self.before[: len(inputs)], inputs)
        self.before = y.detach()
        return state, Output(self.head(y), q_halt=self.q(y))


class OnTheHost(Correct):
    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before + torch.zeros(len(inputs), self.cells, HIDDEN), inputs)


class Asking(Correct):
    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        y = super().mixed(before, inputs)
        return y * 2 if y.sum().item() > 1e9 else y


class Filling(Correct):
    """Puts what a product gives into a tensor of float32."""

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        y = super().mixed(before, inputs)
        filled = torch.zeros(y.shape, device=y.device)
        return filled.index_put((torch.arange(len(y), device=y.device),), y)


class Nowhere(Correct):
    supervision_steps = 0


def raising(task: TaskInfo) -> Reasoner:
    raise OSError(f"no table for {task.height}×{task.width}")


class Dicey(Correct):
    """Draws numbers in the right way, and does not say so."""

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        y = self.mixed(state[0], inputs)
        y = y + self.draw(y)
        return (y.detach(),), Output(self.head(y), q_halt=self.q(y))


class Noisy(Correct):
    """Names two parts of a state of one."""

    perturbable = ("y", "z")
    usual_noise = "z"


class Elsewhere(Correct):
    """Noise is usually added to a part that the state does not have."""

    perturbable = ("y",)
    usual_noise = "z"


CASES: dict[str, tuple[Callable[[TaskInfo], Any], set[str], str]] = {
    "build raises": (raising, {BUILD}, r"OSError: no table for 4×4"),
    "no reasoner": (lambda task: nn.Linear(2, 2), {BUILD}, r"Linear.*no trm_bench\.Reasoner"),
    "no step": (Nowhere, {BUILD}, r"supervision_steps is 0"),
    "wrong shape": (Narrow, {OUTPUT}, r"Output\.logits has shape \(6, 16, 4\), not .*\(6, 16, 5\)"),
    "not a number": (NotANumber, {OUTPUT}, r"Output\.logits is not finite"),
    "state grows": (Growing, {STATE}, r"\(6, 16, 8\).*\(6, 32, 8\)"),
    "state with a gradient": (Attached, {STATE}, r"carries a gradient: detach"),
    "endless loss": (Endless, {FINITE}, r"\[inf, inf, inf\]"),
    "unused parameter": (Unused, {GRADIENT}, r"reaches gate:"),
    "cut off": (Cut, {GRADIENT}, r"reaches embed\.weight:"),
    "float32 alone": (Filling, {BF16}, r"\S"),
    "batch norm": (BatchNorm, {ROWS}, r"in training, .*other puzzles of its batch"),
    "mean over the batch": (Centred, {ROWS, ONE}, r"in training, .*other puzzles of its batch"),
    "numpy without a seed": (Unseeded, {SEED}, r"the same seed gave losses \[.*\] and \["),
    "torch with a seed of its own": (Reseeded, {SEED}, r"the same seed gave losses \[.*\] and \["),
    "number outside buffers": (OutsideBuffers, {SAVED}, r"outside of parameters and buffers"),
    "tensor outside buffers": (TensorOutsideBuffers, {SAVED, FLOPS}, r"outside of parameters and buffers"),
    "squeezed": (Squeezed, {ONE}, r"\S"),
    "half a logit": (Half, {HALTS, BF16}, r"Output\.q_halt must be .*float32, not .*bfloat16"),
    "a logit as autocast gives it": (Lower, {BF16}, r"q_halt is torch\.bfloat16: end it with \.float\(\)"),
    "a logit and a half": (Wide, {HALTS}, r"Output\.q_halt must be .*float32, not .*float64"),
    "memory": (Mindful, {MEMORY}, r"in training, .*batches before it"),
    "random without a word": (Dicey, {ANSWERS}, r"set stochastic = True"),
    "noise on what is not there": (Noisy, {ANSWERS}, r"perturbable names 2 parts of a state of 1"),
    "usual noise elsewhere": (Elsewhere, {ANSWERS}, r"usual_noise='z' is none of y"),
    "tensor on the CPU": (OnTheHost, {FLOPS}, r"cpu.*meta|meta.*cpu"),
}


def test_a_model_that_reads_numbers_is_counted_with_a_remark() -> None:
    findings = find_in_model(spec(Asking))
    assert not failed(findings)
    assert re.search(r"FLOPs .* in training; not with shapes alone: .*item\(\).*meta", findings[-1].words)


@pytest.mark.parametrize(("kind", "checks", "words"), CASES.values(), ids=CASES.keys())
def test_a_broken_model_is_caught_by_the_check_that_is_meant_for_it(
    kind: Callable[[TaskInfo], Any], checks: set[str], words: str
) -> None:
    found = caught(kind)
    assert {fragment for fragment in checks if any(fragment in check for check in found)} == checks
    assert len(found) == len(checks)
    assert any(re.search(words, finding.words) for finding in found.values())
    assert all(finding.where for finding in found.values())


def test_every_check_has_a_model_that_only_it_catches() -> None:
    alone = {next(iter(checks)) for _, checks, _ in CASES.values() if len(checks) == 1} | {RECIPE}  # below
    unbroken = [check.words for check, _ in CHECKS if not any(fragment in check.words for fragment in alone)]
    assert unbroken == []


def test_a_halting_policy_without_its_logit_is_named_with_the_field() -> None:
    found = next(finding for check, finding in caught(NoLogit).items() if HALTS in check)
    assert "Q_COMPARE" in found.words
    assert "Output.q_continue is None" in found.words


def test_a_halt_logit_of_the_wrong_shape_is_named_with_the_one_it_should_have() -> None:
    found = next(finding for check, finding in caught(Unsqueezed).items() if HALTS in check)
    assert "Output.q_halt must be (6,) in float32, not (6, 1)" in found.words


def test_a_model_that_carries_its_state_itself_is_caught() -> None:
    assert any(MEMORY in check for check in caught(Carried))


def test_what_means_nothing_after_a_failure_is_not_checked() -> None:
    assert len(find_in_model(spec(raising))) == 1
    assert len(find_in_model(spec(Narrow))) == 2
    assert len(find_in_model(spec(Growing))) == 3
    assert len(find_in_model(spec(Unused))) == len(CHECKS)


def test_the_error_has_a_line_for_every_check_that_failed_and_where_to_look() -> None:
    with pytest.raises(NotConforming) as raised:
        check_model(spec(Centred))
    first, *lines = str(raised.value).splitlines()
    assert first == f"model tried: 2 of {len(CHECKS)} checks failed"
    assert len(lines) == 2
    assert all(line.strip().startswith("NO ") and "[look at " in line for line in lines)
    assert issubclass(NotConforming, AssertionError)  # for pytest a failed test, not a broken one


# --- how it is called ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trm-mpl", r"unknown model 'trm-mpl'; did you mean 'trm-mlp'"),
        ("trm[cycels=2]", r"no option 'cycels'; did you mean 'cycles'"),
        ("trm[cycles=0]", r"cycles"),
        ("trm[cycles", r"cannot read model"),
    ],
)
def test_an_unknown_name_is_the_users_error(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_model(name)


def test_a_spec_is_checked_itself_even_if_another_has_its_name() -> None:
    assert any(GRADIENT in check for check in failed(find_in_model(replace(spec(Unused), name="copy"))))


def test_a_required_option_is_named() -> None:
    class Sized(BaseModel):
        width: int

    with pytest.raises(UsageError, match="width"):
        check_model(spec(Correct, config=Sized))


# --- recipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"*": {smal: {training: {lr: 0.1}}}', r"\*/smal is never read.*did you mean 'small'"),
        ("sudoku-extreme: {tiny: {training: {lr: 0.1}}}", "sudoku-extreme/tiny is never read"),
        ("maze-hard: {paper: {training: {learning_rate: 0.1}}}", "maze-hard/paper: .*learning_rate"),
        ("maze-hard: {mini: {training: {lr: -1}}}", "maze-hard/mini: .*lr"),
        ("arc-agi-1: {lite: {model: {hiden: 4}}}", "arc-agi-1/lite: .*hiden"),
        ("arc-agi-1: {lite: {trainig: {lr: 0.1}}}", "arc-agi-1/lite: unknown section 'trainig'"),
        ("arc-agi-1: {lite: {published: {sort: 4}}}", "published source: is missing"),
        ("arc-agi-1: lite", "arc-agi-1: must be a mapping"),
    ],
)
def test_a_section_of_a_recipe_that_another_task_would_read_is_read(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipes.yaml"
    path.write_text(text)
    found = failed(find_in_model(spec(Correct, recipes=path)))
    assert len(found) == 1
    (words,) = [finding.words for name, finding in found.items() if RECIPE in name]
    assert re.search(message, words), words


def test_a_recipe_for_a_task_that_is_not_installed_is_a_remark(tmp_path: Path) -> None:
    path = tmp_path / "recipes.yaml"
    path.write_text('"*": {mini: {training: {lr: 0.1}}}\nmine: {mini: {training: {lr: 0.2}}}\n')
    findings = find_in_model(spec(Correct, recipes=path))
    assert not failed(findings)
    assert [f.words for f in findings if RECIPE in f.check] == ["2 sections; not installed here: mine"]
