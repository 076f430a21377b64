"""The stock studies: each declares what it promises to ask."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise, product
from typing import Any

import pytest
import yaml
from hypothesis import settings
from support.models import BUILT_IN
from support.paths import ROOT
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.embedding_rows import PuzzleIds
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import HALTING_OPTIONS, Halting, Reasoner
from trm_bench.harness.api.specs import Scale
from trm_bench.harness.planning.evaluation_mode import EvaluationMode
from trm_bench.harness.planning.models import ResolvedModel, parse_variant, resolve_model
from trm_bench.harness.planning.study import (
    TRAINED,
    StudyDefinition,
    canonical_evaluation,
    checked,
    read_definition,
    subject,
)
from trm_bench.harness.training.costs import Flops, count_flops

FILES = {part.spec.name: part.spec.file for part in BUILT_IN.studies.parts}
STUDIES = {name: read_definition(path) for name, path in FILES.items()}
SUDOKU = {"mini": TaskInfo("sudoku-extreme", "mini", 6, 6, 8)} | {
    scale: TaskInfo("sudoku-extreme", scale, 9, 9, 11) for scale in ("lite", "paper")
}
ARC = {"mini": TaskInfo("arc-agi-1", "mini", 7, 7, 12, 8)} | {
    scale: TaskInfo("arc-agi-1", scale, 30, 30, 12, 8) for scale in ("lite", "paper")
}
MAZE = {"mini": TaskInfo("maze-hard", "mini", 5, 5, 6)} | {
    scale: TaskInfo("maze-hard", scale, 30, 30, 6) for scale in ("lite", "paper")
}
INFOS = {"sudoku-extreme": SUDOKU, "arc-agi-1": ARC, "maze-hard": MAZE}
SCALES = ("mini", "lite", "paper")
UNHURRIED = settings(deadline=None)  # the machine may be busy
every_study = pytest.mark.parametrize("name", STUDIES)


def scale_of(study: StudyDefinition, scale: str) -> Scale:
    return BUILT_IN.tasks.get(study.task).spec.scales[scale]


@cache
def resolved(name: str, scale: str) -> dict[str, ResolvedModel]:
    """The models of a stock study as written, in its order."""
    study, info = STUDIES[name], INFOS[STUDIES[name].task][scale]
    full = scale_of(study, scale).augmentations
    return {text: resolve_model(BUILT_IN, text, info, {}, (full, full)) for text in study.models}


def options(model: ResolvedModel) -> dict[str, Any]:
    return model.config.model_dump()


def is_(one: ResolvedModel, other: ResolvedModel) -> bool:
    """Whether two are one and the same row."""
    settings = [
        (each.part.full_name, each.config, each.training, each.augmentations) for each in (one, other)
    ]
    return settings[0] == settings[1]


# --- the stock studies ---------------------------------------------------------------------------


def test_the_stock_studies_are_those_that_were_promised() -> None:
    promised = {
        "less-is-more",
        "recursion-or-augmentation",
        "where-the-gain-is",
        "depth",
        "depth-at-equal-flops",
        "registers",
        "successors",
        "votes",
        "rollouts",
        "identity",
    }
    assert set(STUDIES) == promised


@every_study
def test_a_study_has_the_name_of_its_file(name: str) -> None:
    assert STUDIES[name].name == FILES[name].stem == name


@every_study
def test_list_says_what_a_study_asks_in_one_line(name: str) -> None:
    asks = BUILT_IN.studies.get(name).spec.summary
    assert asks == STUDIES[name].asks
    assert asks
    assert "\n" not in asks
    assert STUDIES[name].source


@every_study
def test_every_contrast_names_what_its_study_has(name: str) -> None:
    study = STUDIES[name]
    models = {str(parse_variant(text)) for text in study.models}
    evaluations = {TRAINED, *map(canonical_evaluation, study.evaluations)}
    for contrast in study.contrasts:
        for side in (subject(contrast.a), subject(contrast.b)):
            assert side.model in models
            assert side.evaluation in evaluations
        assert contrast.grid in (None, *study.grids)
        assert contrast.asks.endswith("?")
    assert len({contrast.asks for contrast in study.contrasts}) == len(study.contrasts)


@every_study
def test_every_evaluation_belongs_to_a_question_or_to_a_curve(name: str) -> None:
    needed = {subject(side).evaluation for one in STUDIES[name].contrasts for side in (one.a, one.b)}
    idle = set(map(canonical_evaluation, STUDIES[name].evaluations)) - needed
    assert all(re.fullmatch(r"steps=\d+", evaluation) for evaluation in idle)


@every_study
def test_an_evaluation_is_called_in_a_contrast_as_its_rows_are(name: str) -> None:
    for text in STUDIES[name].evaluations:
        assert EvaluationMode.parse(text).label == canonical_evaluation(text)


@every_study
def test_a_share_is_of_a_scale_that_the_task_has(name: str) -> None:
    study = STUDIES[name]
    known = BUILT_IN.tasks.get(study.task).spec.scales
    for grid in study.grids.values():
        assert set(grid.share) <= set(known)
        assert all(0 < share <= 1 for share in grid.share.values())


@every_study
@pytest.mark.parametrize("scale", SCALES)
def test_every_model_can_be_had_at_every_scale(name: str, scale: str) -> None:
    for text, model in resolved(name, scale).items():
        assert str(model.requested) == str(parse_variant(text))
        assert model.part.spec.trained


@every_study
def test_at_paper_no_question_compares_a_model_with_itself(name: str) -> None:
    assert empty_questions(name, "paper") == []


def empty_questions(name: str, scale: str) -> list[str]:
    models = {str(model.requested): model for model in resolved(name, scale).values()}
    sides = [(one.asks, subject(one.a), subject(one.b)) for one in STUDIES[name].contrasts]
    return [
        asks for asks, a, b in sides if a.evaluation == b.evaluation and is_(models[a.model], models[b.model])
    ]


def test_at_mini_only_the_question_after_the_recipe_itself_has_nothing_to_compare() -> None:
    found = {name: empty_questions(name, "mini") for name in STUDIES}
    assert found.pop("less-is-more") == ["Are the recipe's T and n better than T=2 and n=2?"]
    assert set(map(len, found.values())) == {0}


# --- less is more --------------------------------------------------------------------------------

ABLATIONS: dict[str, dict[str, Any]] = {
    "trm[halting=two-pass]": {"halting": "two-pass"},
    "trm[networks=2]": {"networks": 2},
    "trm[blocks=4,updates=3]": {"blocks": 4, "updates": 3},
    "trm[gradient=one-step]": {"gradient": "one-step"},
    "trm[latents=1]": {"latents": 1},
    "trm[latents=multi]": {"latents": "multi"},
    "trm[T=2,n=2]": {"cycles": 2, "updates": 2},
    "trm[T=1,n=2]": {"cycles": 1, "updates": 2},
    "trm[T=2,n=4]": {"cycles": 2, "updates": 4},
    "trm[T=3,n=6]": {"cycles": 3, "updates": 6},
    "trm[T=4,n=8]": {"cycles": 4, "updates": 8},
}
"""Rows of the paper's Tables 1 to 3 that are TRM with other options; T=3, n=6 is the paper's own recipe."""
GRID = {1: (6, 8), 2: (20, 24), 3: (42, 48), 4: (72, 80)}
"""Cycles to the layers of a supervision step that the paper's Table 3 has: of TRM, of HRM."""


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("text", ABLATIONS)
def test_an_ablation_changes_what_it_says_and_nothing_else(text: str, scale: str) -> None:
    models = resolved("less-is-more", scale)
    assert options(models[text]) == {**options(models["trm"]), **ABLATIONS[text]}
    assert models[text].training == models["trm"].training


@pytest.mark.parametrize("scale", SCALES)
def test_the_ablations_of_the_average_and_of_the_mixer_change_these(scale: str) -> None:
    models = resolved("less-is-more", scale)
    trm, without, attention = (models[text] for text in ("trm", "trm[ema=0]", "trm[mixer=attention]"))
    assert without.config == trm.config
    assert without.training == trm.training.model_copy(update={"ema": 0.0})
    assert trm.training.ema > 0
    assert (options(trm)["mixer"], options(attention)["mixer"]) == ("mlp", "attention")


def test_the_paper_s_trm_has_its_published_cycles_and_the_rows_of_its_tables_their_depth() -> None:
    models = resolved("less-is-more", "paper")
    assert is_(models["trm"], models["trm[T=3,n=6]"])
    assert models["trm[latents=multi]"].config.scratch_pads + 1 == 7  # type: ignore[attr-defined]
    for cycles, (of_trm, of_hrm) in GRID.items():
        trm, hrm = (
            options(models[text])
            for text in (f"trm[T={cycles},n={2 * cycles}]", f"hrm[N={cycles},T={cycles}]")
        )
        assert trm["cycles"] * (trm["updates"] + 1) * trm["blocks"] == of_trm
        assert (hrm["cycles"], hrm["timesteps"]) == (cycles, cycles)
        assert (hrm["high_blocks"], hrm["low_blocks"]) == (4, 4)
        assert cycles * (cycles + 1) * hrm["low_blocks"] == of_hrm


def test_no_row_of_the_paper_s_tables_is_left_out_and_none_is_added() -> None:
    grid = [f"hrm[N={cycles},T={cycles}]" for cycles in GRID]
    rows = {"trm", "trm[ema=0]", "trm[mixer=attention]", *ABLATIONS, *grid}
    assert sorted(STUDIES["less-is-more"].models) == sorted(rows)


def test_every_ablation_is_compared_with_trm() -> None:
    study = STUDIES["less-is-more"]
    against_trm = {contrast.b for contrast in study.contrasts if contrast.a == "trm"}
    table_3 = {f"trm[T={cycles},n={2 * cycles}]" for cycles in GRID}
    assert against_trm == {"trm[ema=0]", "trm[mixer=attention]", *ABLATIONS} - table_3
    pairs = {(contrast.a, contrast.b) for contrast in study.contrasts}
    assert {(f"trm[T={k},n={2 * k}]", f"hrm[N={k},T={k}]") for k in GRID} <= pairs


# --- where the gain is ---------------------------------------------------------------------------


def built(model: ResolvedModel, info: TaskInfo) -> Reasoner:
    assert model.part.spec.build is not None
    return model.part.spec.build(model.config, info)


@pytest.fixture(scope="module")
def ladder() -> list[tuple[ResolvedModel, Reasoner, Flops]]:
    """The rungs at mini, from the lowest."""
    models = resolved("where-the-gain-is", "mini").values()
    made = [(model, built(model, SUDOKU["mini"])) for model in models]
    return [(model, reasoner, count_flops(reasoner, SUDOKU["mini"].cells)) for model, reasoner in made]


def test_from_the_second_rung_on_a_supervision_step_costs_the_same(
    ladder: list[tuple[ResolvedModel, Reasoner, Flops]],
) -> None:
    costs = [flops.inference / reasoner.supervision_steps for _, reasoner, flops in ladder]
    hidden = options(ladder[-1][0])["hidden"]
    costs[-1] -= 2 * 2 * hidden  # a halt logit has to be read: two products of D numbers
    assert len(set(costs[1:])) == 1
    assert costs[0] == costs[1]  # eight blocks once, or two blocks four times


def test_from_the_second_rung_on_a_step_of_training_costs_the_same(
    ladder: list[tuple[ResolvedModel, Reasoner, Flops]],
) -> None:
    costs = [flops.training_step for *_, flops in ladder]
    costs[-1] -= 3 * 2 * 2 * options(ladder[-1][0])["hidden"]
    assert len(set(costs[1:])) == 1


def test_from_the_second_rung_on_the_network_has_as_many_weights(
    ladder: list[tuple[ResolvedModel, Reasoner, Flops]],
) -> None:
    sizes = [sum(each.numel() for each in reasoner.net.parameters()) for _, reasoner, _ in ladder]  # type: ignore[union-attr, operator]
    assert sizes[1:] == [sizes[1]] * 4
    assert sizes[0] == 4 * sizes[1]


@pytest.mark.parametrize("scale", SCALES)
def test_all_rungs_have_one_mixer_one_prefix_position_and_one_training(scale: str) -> None:
    rungs = list(resolved("where-the-gain-is", scale).values())
    found = [options(rung) for rung in rungs]
    for rung, each in zip(rungs, found, strict=True):
        assert each["mixer"] == "mlp"
        assert rung.config.prefix == 1  # type: ignore[attr-defined]
        assert rung.training == rungs[-1].training
        assert rung.augmentations is None
        for size in ("hidden", "expansion", "multiple", "puzzle_emb_ndim"):
            assert each[size] == found[-1][size]


@pytest.mark.parametrize("scale", SCALES)
def test_each_rung_adds_one_thing(scale: str) -> None:
    wide, tied, looped, levels, halting = map(options, resolved("where-the-gain-is", scale).values())
    assert (wide["blocks"], wide["repeats"], tied["blocks"], tied["repeats"]) == (8, 1, 2, 4)
    assert {**wide, "blocks": 2, "repeats": 4} == tied
    assert {key: looped[key] for key in tied} == tied
    assert looped["supervision"] == levels["supervision"] > 1
    assert (levels["cycles"], levels["updates"] + 1, levels["latents"]) == (1, looped["repeats"], 2)
    assert [each["halting"] for each in (looped, levels, halting)] == ["none", "none", "sigmoid"]
    assert {**levels, "halting": "sigmoid"} == halting


def test_the_ladder_is_compared_rung_by_rung() -> None:
    study = STUDIES["where-the-gain-is"]
    rungs = [str(parse_variant(text)) for text in study.models]
    questions_of = [(subject(one.b).model, subject(one.a).model) for one in study.contrasts]
    assert questions_of == list(pairwise(rungs))


# --- recursion or augmentation, depth, votes, identity -------------------------------------------


def test_recursion_or_augmentation_is_a_full_product() -> None:
    study = STUDIES["recursion-or-augmentation"]
    kinds = ["trm-mlp", "transformer-looped", "transformer"]
    variants = [parse_variant(text) for text in study.models]
    found = [(each.name, each.options["augment"]) for each in variants]
    assert found == list(product(kinds, ["1", "8", "full"]))
    assert [grid.match for grid in study.grids.values()] == [Match.STEPS, Match.EXAMPLES, Match.FLOPS]
    assert all(contrast.grid is None for contrast in study.contrasts)
    assert all(grid.augmentations is None and not grid.settings for grid in study.grids.values())


@pytest.mark.parametrize("scale", SCALES)
def test_recursion_or_augmentation_differs_in_these_two_alone(scale: str) -> None:
    models = resolved("recursion-or-augmentation", scale)
    full = scale_of(STUDIES["recursion-or-augmentation"], scale).augmentations
    assert full > 8
    for text, model in models.items():
        assert options(model)["mixer"] == "mlp"
        assert model.training == models["trm-mlp[augment=full]"].training
        count = parse_variant(text).options["augment"]
        assert (model.augmentations or full) == (full if count == "full" else int(count))


def permitted(name: str) -> list[str]:
    """The scales of a stock study."""
    study = STUDIES[name]
    return study.scales or list(BUILT_IN.tasks.get(study.task).spec.scales)


def test_many_answers_have_the_compute_of_the_deeper_one_that_they_are_compared_with() -> None:
    name = "rollouts"
    sides = [(subject(one.a), subject(one.b)) for one in STUDIES[name].contrasts]
    pairs = [tuple(EvaluationMode.parse(side.evaluation) for side in both) for both in sides]
    deeper = [(several, single) for several, single in pairs if single.steps is not None]
    assert [mode.rollouts and mode.rollouts.count for mode, _ in deeper] == [4, 16, 64]
    for scale in permitted(name):
        (model,) = resolved(name, scale).values()
        usual = options(model)["supervision"]
        for mode, single in deeper:
            assert mode.rollouts is not None
            assert single.rollouts is None
            assert mode.rollouts.count * (mode.steps or usual) == single.steps


def test_depth_at_equal_flops_applies_the_network_equally_often() -> None:
    name = "depth-at-equal-flops"
    for scale in permitted(name):
        found = [options(model) for model in resolved(name, scale).values()]
        assert len({each["cycles"] * (each["updates"] + 1) * each["supervision"] for each in found}) == 1
        assert len({(each["cycles"], each["updates"], each["supervision"]) for each in found}) == len(found)


def test_depth_goes_from_one_step_to_128_and_to_halting() -> None:
    study = STUDIES["depth"]
    depths = [
        EvaluationMode.parse(text).steps
        for text in study.evaluations
        if not EvaluationMode.parse(text).halting
    ]
    assert depths == [2**power for power in range(8)]
    assert [text for text in study.evaluations if EvaluationMode.parse(text).halting] == ["halting=true"]
    for scale in SCALES:
        for model in resolved("depth", scale).values():
            assert HALTING_OPTIONS[options(model)["halting"]] is not Halting.NONE


def test_votes_and_identity_are_of_arc_and_of_the_models_as_they_are() -> None:
    assert {STUDIES[name].task for name in ("votes", "identity")} == {"arc-agi-1"}
    assert STUDIES["votes"].evaluations == ["votes=1"]
    assert [EvaluationMode.parse(text).puzzle_ids for text in STUDIES["identity"].evaluations] == [
        PuzzleIds.BLANK,
        PuzzleIds.SHUFFLED,
    ]
    for name in ("votes", "identity"):
        assert STUDIES[name].models == ["trm", "hrm", "transformer"]
        assert all(scale_of(STUDIES[name], scale).votes for scale in SCALES)


def test_the_example_of_the_documentation_is_a_study() -> None:
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    study = checked(yaml.safe_load(example), "docs")
    for model in study.models:
        resolve_model(BUILT_IN, model, SUDOKU["mini"], {})
    for evaluation in study.evaluations:
        EvaluationMode.parse(evaluation)


@every_study
def test_no_two_grids_of_a_study_are_the_same_at_a_scale(name: str) -> None:
    study = STUDIES[name]
    for scale in study.scales or BUILT_IN.tasks.get(study.task).spec.scales:
        budgets = [
            (grid.match, grid.share.get(scale, 1.0), grid.augmentations, *sorted(grid.settings.items()))
            for grid in study.grids.values()
        ]
        assert len(budgets) == len(set(budgets)), scale
