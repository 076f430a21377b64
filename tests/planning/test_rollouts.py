"""How several answers are asked for, and what is refused."""

from __future__ import annotations

import pytest
from support.training import MODELS
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.rollouts import Rollouts, Select
from trm_bench.harness.planning.evaluation_mode import EvaluationMode, check_rollouts, parse_rollouts


@pytest.mark.parametrize(
    ("text", "rollouts"),
    [
        ("noise=0.3,rollouts=16,select=q", Rollouts(count=16, noise=0.3, select=Select.Q)),
        ("noise=0.3,noise_on=y", Rollouts(noise=0.3, on="y")),
        ("rollouts=2,select=mode", Rollouts(count=2, select=Select.MODE)),
        ("rollouts=1", None),
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
        ({"rollouts": "4", "select": "mod"}, "select=mod: unknown; did you mean 'mode'"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=f"^--{message}"):
        parse_rollouts(given, "--")


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        ("trm-att", "rollouts=4,select=mode", "is deterministic, and all of them would be equal"),
        ("trm-att", "noise=0.1,noise_on=x", "noise_on=x: it has y, z, both"),
        ("transformer", "noise=0.1", "has no state that noise can be added to"),
        ("trm-att", "halting=true,noise=0.1,rollouts=4,select=residual", "does not go with halting"),
    ],
)
def test_a_model_that_cannot_answer_so_is_named(model: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_rollouts(EvaluationMode.parse(text), MODELS[model](), "it")


def test_a_model_without_a_halt_logit_cannot_choose_by_it() -> None:
    model = MODELS["transformer"]()
    model.stochastic = True
    with pytest.raises(UsageError, match="has no halt logit; choose mode or residual"):
        check_rollouts(EvaluationMode.parse("rollouts=4,select=q"), model, "it")
