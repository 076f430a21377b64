"""How several answers are asked for, and what is refused."""

from __future__ import annotations

import pytest
from support.training import MODELS
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.rollouts import Rollouts, Select
from trm_bench.harness.planning.evaluation_mode import EvaluationMode, obstacle, parse_rollouts


@pytest.mark.parametrize(
    ("text", "rollouts"),
    [
        ("noise=0.3,rollouts=16,select=q", Rollouts(count=16, noise=0.3, select=Select.Q)),
        ("noise=0.3,noise_on=y", Rollouts(noise=0.3, on="y")),
        ("noise=0.3,noise_seed=7", Rollouts(noise=0.3, seed=7)),
        ("noise_seed=7", Rollouts(seed=7)),
        ("rollouts=2,select=mode", Rollouts(count=2, select=Select.MODE)),
        ("rollouts=1", None),
        ("rollouts=1,select=q", None),
        ("noise_seed=0", None),
        ("noise=0", None),
    ],
)
def test_a_label_reads_as_the_mode_that_it_was_written_from(text: str, rollouts: Rollouts | None) -> None:
    mode = EvaluationMode.parse(text)
    assert mode.rollouts == rollouts
    assert mode.label == (text if rollouts else "")
    assert EvaluationMode.parse(mode.label) == mode


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rollouts": "0"}, "rollouts=0: not a whole number from 1"),
        ({"rollouts": "-1"}, "rollouts=-1: not a whole number"),
        ({"rollouts": "many"}, "rollouts=many: not a whole number"),
        ({"noise": "-0.1"}, "noise=-0.1: not a standard deviation from 0"),
        ({"noise": "nan"}, "noise=nan: not a standard deviation"),
        ({"noise": "inf"}, "noise=inf: not a standard deviation"),
        ({"noise": "loud"}, "noise=loud: not a standard deviation"),
        ({"rollouts": "4"}, "rollouts=4: say which one counts with select"),
        ({"select": "q"}, "select=q: means nothing without rollouts; add rollouts"),
        ({"noise_on": "w"}, "noise-on=w: means nothing without noise; add noise"),
        ({"noise_seed": -1}, "noise-seed=-1: not a whole number from 0"),
        ({"noise_seed": "1e3"}, "noise-seed=1e3: not a whole number"),
        ({"rollouts": "4", "select": "mod"}, "select=mod: unknown; did you mean 'mode'"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=f"^--{message}"):
        parse_rollouts(given, "--")


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("trm-att", "rollouts=4,select=mode", "is deterministic, and every answer would be the same"),
        ("trm-att", "noise_seed=3", "is deterministic, and every answer would be the same"),
        ("trm-att", "noise=0.1,noise_on=x", "noise_on=x: the model has y, z, both"),
        ("transformer", "noise=0.1", "has no state that noise can be added to"),
        ("transformer", "halting=true", "has no halting rule"),
        ("trm-att", "halting=true,noise=0.1,rollouts=4,select=residual", "does not go with halting"),
        ("trm-att", "noise=0.1,rollouts=4,select=residual,steps=1", "and there is one; take at least 2"),
    ],
)
def test_why_a_model_cannot_answer_so(model: str, text: str, expected: str) -> None:
    assert expected in str(obstacle(EvaluationMode.parse(text), MODELS[model]()))


@pytest.mark.parametrize(
    "text", ["halting=true", "noise=0.1,rollouts=4,select=residual,steps=2", "noise=0.1"]
)
def test_nothing_is_in_the_way_of_what_a_model_can_do(text: str) -> None:
    assert obstacle(EvaluationMode.parse(text), MODELS["trm-att"]()) is None


def test_a_model_without_a_halt_logit_cannot_choose_by_it() -> None:
    model = MODELS["transformer"]()
    model.stochastic = True
    found = obstacle(EvaluationMode.parse("rollouts=4,select=q"), model)
    assert found == "select=q: the model has no halt logit; choose mode or residual"
