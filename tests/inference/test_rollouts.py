"""Several answers per puzzle: which rows are computed, and which answer counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from support.training import CPU, INFO, MODELS, puzzles
from torch import Tensor
from trm_bench.harness.api.augment import CellTokenTransforms, NoAugmentation
from trm_bench.harness.api.reasoner import Output, Reasoner, State
from trm_bench.harness.api.rollouts import Rollouts, Select
from trm_bench.harness.inference.inference import Depths, InferenceConfig, Read, Views, infer
from trm_bench.harness.inference.rollouts import Residual, choose, digests, item_numbers
from trm_bench.harness.inference.scoring import AGREE, ANY_RIGHT, score

EIGHT = Rollouts(count=8, noise=0.7, select=Select.MODE)


@pytest.fixture(scope="module")
def trm() -> Reasoner:
    """Stirred, so that its halt logits differ."""
    torch.manual_seed(0)
    model = MODELS["trm-att"]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return model


def read(
    model: Reasoner, rollouts: Rollouts, rows: object = slice(0, 12), batch: int = 256, **more: object
) -> Read:
    config = InferenceConfig(CPU, batch_size=batch)
    depths = Depths((model.supervision_steps,), **more)
    (found,) = infer(model, puzzles().take(rows), config, depths, rollouts=rollouts)
    return found


def answers(model: Reasoner, rollouts: Rollouts, **more: object) -> np.ndarray:
    every = read(model, rollouts, **more).predictions.rollouts
    assert every is not None
    return every


def test_without_noise_every_rollout_is_the_single_answer(trm: Reasoner) -> None:
    once = read(trm, Rollouts()).predictions
    several = read(trm, Rollouts(count=3, select=Select.MODE)).predictions
    assert once.rollouts is None
    assert several.rollouts is not None
    assert (several.rollouts == once.tokens[:, None]).all()
    assert (several.tokens == once.tokens).all()
    assert np.array_equal(several.halt_steps, once.halt_steps)


def test_the_first_rollouts_of_many_are_those_of_few(trm: Reasoner) -> None:
    many = answers(trm, EIGHT)
    assert (many[:, :3] == answers(trm, EIGHT.model_copy(update={"count": 3}))).all()
    assert (many != many[:, :1]).any()  # the noise does something


@pytest.mark.parametrize("batch", [1, 9, 16, 100])
def test_an_answer_depends_neither_on_the_batch_nor_on_the_other_puzzles(trm: Reasoner, batch: int) -> None:
    whole = answers(trm, EIGHT)
    assert (answers(trm, EIGHT, batch=batch) == whole).all()
    assert (answers(trm, EIGHT, rows=[7, 2]) == whole[[7, 2]]).all()


def test_another_seed_or_part_of_the_state_gives_other_answers(trm: Reasoner) -> None:
    ways = [EIGHT, EIGHT.model_copy(update={"seed": 1})]
    ways += [EIGHT.model_copy(update={"on": on}) for on in ("y", "both")]
    assert len({answers(trm, way).tobytes() for way in ways}) == 4
    assert (answers(trm, EIGHT.model_copy(update={"on": "z"})) == answers(trm, EIGHT)).all()


def test_the_best_of_more_rollouts_never_has_a_smaller_halt_probability(trm: Reasoner) -> None:
    best = [
        read(trm, Rollouts(count=count, noise=0.7, select=Select.Q)).predictions.halt_probability
        for count in (1, 2, 4, 8)
    ]
    for fewer, more in itertools.pairwise(best):
        assert (more >= fewer).all()


def test_rollouts_multiply_the_steps_and_each_halts_by_itself(trm: Reasoner) -> None:
    found = read(trm, EIGHT, halting=True)
    assert 1 <= found.steps <= trm.supervision_steps
    assert found.predictions.rollouts is not None
    assert found.predictions.rollouts.shape == (12, 8, INFO.cells)


class Dice(Reasoner):
    """Answers at random, by its own random numbers."""

    stochastic = True
    supervision_steps = 2

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        return state, Output(self.draw(torch.empty(*inputs.shape, INFO.vocab_size)))


def test_a_stochastic_model_has_several_answers_without_noise() -> None:
    several = answers(Dice(), Rollouts(count=4, select=Select.FIRST))
    assert (several[:, 0] != several[:, 1]).any()
    assert (answers(Dice(), Rollouts(count=4, select=Select.FIRST), batch=4) == several).all()
    assert (read(Dice(), Rollouts()).predictions.tokens == several[:, 0]).all()


def test_views_vote_with_the_answer_that_counts_in_each(trm: Reasoner) -> None:
    few = puzzles().take(slice(0, 4))
    views = Views(NoAugmentation(), 0, np.full(4, 3), lambda items, ks: np.zeros(len(items), np.int64))
    config, depths = InferenceConfig(CPU), Depths((trm.supervision_steps,))
    (read_,) = infer(trm, few, config, depths, views, rollouts=EIGHT)
    ballots = read_.predictions.ballots
    assert ballots is not None
    assert ballots.item.tolist() == [item for item in range(4) for _ in range(3)]  # one vote a view, not 8
    own = ballots.candidates[ballots.candidate[ballots.augmentation == 0]]
    assert (own == read(trm, EIGHT, rows=slice(0, 4)).predictions.tokens).all()
    assert read_.predictions.rollouts is None


class Shifts:
    """Augmentation k moves every cell k places."""

    max_augmentations = 3

    def transforms(self, seed: int, items: np.ndarray, ks: np.ndarray) -> CellTokenTransforms:
        cells = (np.arange(INFO.cells) - ks[:, None]) % INFO.cells
        return CellTokenTransforms(cells, np.tile(np.arange(INFO.vocab_size, dtype=np.uint8), (len(ks), 1)))


class Echo(Dice):
    """Answers with the question."""

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        return state, Output(torch.nn.functional.one_hot(inputs, INFO.vocab_size).float())


def test_the_oracle_over_views_counts_every_answer_of_every_view_undone() -> None:
    test = puzzles().take(slice(0, 4))
    views = Views(Shifts(), 0, np.array([3, 1, 2, 3]), lambda items, ks: np.zeros(len(items), np.int64))
    (read_,) = infer(Echo(), test, InferenceConfig(CPU), Depths((2,)), views, rollouts=Rollouts(count=5))
    found = read_.predictions.rollout_digests
    assert found is not None
    assert found.shape == (9, 5)
    assert (found == digests(test.inputs)[[0, 0, 0, 1, 2, 2, 3, 3, 3], None]).all()
    found[7, 4] = digests(test.targets)[3]  # the last answer under the second view of the last puzzle
    records = score([], INFO, test, read_.predictions, {})
    assert [record.extras[ANY_RIGHT] for record in records] == [0, 0, 0, 1]
    assert [record.extras[AGREE] for record in records] == pytest.approx([1, 1, 1, 14 / 15])


class Ending:
    """The identity, after which the last cell is no part of an answer."""

    max_augmentations = 1

    def transforms(self, seed: int, items: np.ndarray, ks: np.ndarray) -> Ending:
        return self

    def apply(self, tokens: np.ndarray) -> np.ndarray:
        return tokens

    def invert(self, tokens: np.ndarray) -> np.ndarray:
        return np.concatenate([tokens[:, :-1], np.zeros_like(tokens[:, -1:])], axis=1)


class Loud(Dice):
    """The first rollout answers 1 everywhere, the others 2, and in the last cell each something else."""

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        logits = torch.zeros(*inputs.shape, INFO.vocab_size)
        logits[:, :, 2] = 1
        logits[0, :, 1] = 2
        each = torch.arange(len(inputs))
        logits[each, -1, each] = 9
        return state, Output(logits)


def test_answers_that_a_task_takes_for_one_count_as_one() -> None:
    views = Views(Ending(), 0, np.array([1]), lambda items, ks: np.zeros(len(items), np.int64))
    rollouts = Rollouts(count=4, select=Select.MODE)
    (read_,) = infer(
        Loud(), puzzles().take(slice(0, 1)), InferenceConfig(CPU), Depths((1,)), views, rollouts=rollouts
    )
    ballots = read_.predictions.ballots
    assert ballots is not None
    assert ballots.candidates[0, :-1].tolist() == [2] * (INFO.cells - 1)


def test_different_answers_have_different_numbers() -> None:
    answers = np.array(list(itertools.product(range(4), repeat=6)), np.uint8)
    assert len(set(digests(answers).tolist())) == len(answers)


# --- choosing -------------------------------------------------------------------------------------

A, B, C = (np.full(3, token, np.uint8) for token in (1, 2, 3))
NAN = float("nan")


@pytest.mark.parametrize(
    ("select", "rows", "q", "residual", "expected"),
    [
        (Select.FIRST, [B, A, A], [0, 1, 2], [3, 2, 1], 0),
        (Select.Q, [B, A, A], [0.0, 2.0, 2.0], [3, 2, 1], 1),
        (Select.Q, [B, A, A], [NAN, NAN, -9.0], [3, 2, 1], 2),
        (Select.RESIDUAL, [B, A, A], [0, 1, 2], [3, 2, 1], 2),
        (Select.RESIDUAL, [B, A, A], [0, 1, 2], [NAN, NAN, NAN], 0),
        (Select.MODE, [B, A, C, A], [9, 0, 9, 0], [0, 0, 0, 0], 1),
        (Select.MODE, [B, A, B, A], [0, 1, 0, 1], [0, 0, 0, 0], 1),  # as frequent: by the halt probability
        (Select.MODE, [B, A, A, B], [NAN] * 4, [0] * 4, 0),  # then the one that came first
    ],
)
def test_the_rule_decides_which_answer_counts(
    select: Select, rows: list[np.ndarray], q: list[float], residual: list[float], expected: int
) -> None:
    floats = np.array([q], float), np.array([residual], float)
    assert choose(select, np.array([rows]), *floats).tolist() == [expected]


def test_the_residual_is_the_mean_change_of_the_logits_over_the_last_three_steps() -> None:
    residual, logits = Residual(), torch.zeros(2, 4, 3)
    assert residual.value(2).isnan().all()
    for change in (100.0, 1.0, 2.0, 3.0):
        residual.add(logits)
        logits = logits + torch.tensor([[[change, 0, 0]], [[0, 2 * change, 0]]])
    residual.add(logits)
    assert residual.value(2).tolist() == pytest.approx([2.0, 4.0])


def test_records_hold_the_oracle_and_the_agreement(trm: Reasoner) -> None:
    test, found = puzzles().take(slice(0, 12)), read(trm, EIGHT).predictions
    every = found.rollouts
    assert every is not None
    records = score([], INFO, test, found, {})
    right = (every == test.targets[:, None]).all(axis=2).any(axis=1)
    assert [record.extras[ANY_RIGHT] for record in records] == right.tolist()
    same = (every == found.tokens[:, None]).all(axis=2).mean(axis=1)
    assert [record.extras[AGREE] for record in records] == same.tolist()
    assert not any(
        ANY_RIGHT in record.extras for record in score([], INFO, test, read(trm, Rollouts()).predictions, {})
    )


def test_a_puzzle_has_the_same_number_in_any_selection() -> None:
    ids = puzzles().ids
    assert item_numbers(ids)[[3, 5]].tolist() == item_numbers(ids[[3, 5]]).tolist()
    assert len(set(item_numbers(ids).tolist())) == len(ids)
