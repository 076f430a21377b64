"""Each model over all tasks: what is summarised, what is left out, and that it is said."""

from __future__ import annotations

from pathlib import Path

from support.folders import TRM, on_task, render, report_of, request, three_models, write_model


def test_a_model_that_a_task_lacks_is_named(tmp_path: Path) -> None:
    for task in ("a", "b", "c"):
        names = three_models(tmp_path / task, change=on_task(task))
        if task != "c":
            more = write_model(tmp_path / task, "extra", TRM, change=on_task(task))
            request(tmp_path / task, [*names, *more])
    report = report_of(*(tmp_path / task for task in "abc"))
    assert "extra" not in [one.model for one in report.overall]
    assert report.overall_notes == ("left out, not complete on every task: extra",)
    assert "left out, not complete on every task: extra" in render(report)
    assert "left out, not complete on every task: extra" in render(report, "html")


def test_a_model_that_was_typed_in_two_ways_is_one(tmp_path: Path) -> None:
    for task in ("a", "b", "c"):
        typed = "trm" if task == "a" else "trm-mlp"
        names = write_model(tmp_path / task, "trm-mlp", TRM, change=on_task(task), requested=typed)
        names += write_model(tmp_path / task, "hrm", TRM, change=on_task(task))
        request(tmp_path / task, names)
    report = report_of(*(tmp_path / task for task in "abc"))
    assert {one.model for one in report.overall} == {"trm-mlp", "hrm"}
    assert report.overall_notes == ()


def test_several_scales_are_not_summarised(tmp_path: Path) -> None:
    for task, scale in (("a", "mini"), ("b", "mini"), ("c", "small")):
        three_models(tmp_path / task, change=on_task(task, scale))
    report = report_of(*(tmp_path / task for task in "abc"))
    assert report.overall == ()
    (note,) = report.overall_notes
    assert note == "nothing is summarised over all tasks: the tables are of the scales mini, small"


def test_a_task_with_two_tables_is_named(tmp_path: Path) -> None:
    for task in ("a", "b", "c", "d"):
        three_models(tmp_path / task, change=on_task(task))
    three_models(tmp_path / "other", change=on_task("d", "small"))
    report = report_of(*(tmp_path / name for name in ("a", "b", "c", "d", "other")))
    assert len(report.overall) == 3
    assert report.overall_notes == ("left out, because they have several tables: d",)
