"""What the HTML page and the CSV file hold."""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from support.folders import (
    render,
)
from trm_bench.harness.report.table import Report
from trm_bench.plugins.reporters.grids import grids

# --- CSV ----------------------------------------------------------------------------------------


def test_csv_holds_every_mean_and_every_seed_in_full(golden_report: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(render(golden_report, "csv"))))
    for table in golden_report.tables:
        for row in table.rows:
            own = {
                line["metric"]: line
                for line in lines
                if (line["task"], line["model"]) == (table.task, row.name)
            }
            assert set(own) == ({table.primary, *table.evaluators} if row.means else {table.primary})
            primary = own[table.primary]
            if row.summary is None:
                assert primary["mean"] == ""
                continue
            assert float(primary["mean"]) == pytest.approx(row.summary.mean)
            assert [float(score) for score in primary["each_seed"].split()] == pytest.approx(
                [seed.score for seed in row.seeds if seed.score is not None]
            )
            for name in set(own) - {table.primary}:
                assert float(own[name]["mean"]) == pytest.approx(row.means[name])
            assert own[table.primary]["citable"] == str(row.complete and not row.not_citable_because)


# --- HTML ----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page holds: its tags, whatever it would fetch, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.slow
def test_the_page_is_whole_and_fetches_nothing(golden_report: Report) -> None:
    text = render(golden_report, "html")
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert "url(http" not in text
    whole = [grid for table in golden_report.tables for grid in grids(table, costs=True)]
    assert page.tags.count("table") == len(whole)
    assert all(grid.heading in page.words for grid in whole)
    assert page.tags.count("svg") >= 2
    for table in golden_report.tables:
        assert table.title in page.words
        assert all(note in page.words for note in table.notes)
    ids = re.findall(r'\bid="([^"]+)"', text)
    alone = [one for one in ids if "-image" not in one]  # matplotlib names equal images of a figure alike
    assert len(set(alone)) == len(alone)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)


def test_the_page_escapes_what_came_from_outside(golden_report: Report) -> None:
    wicked = "<script>alert(1)</script>"
    table = golden_report.tables[0]
    rows = (replace(table.rows[0], model=wicked, requested=wicked, display_name=wicked), *table.rows[1:])
    tables = (replace(table, notes=(wicked,), rows=rows), *golden_report.tables[1:])
    text = render(replace(golden_report, tables=tables, commands=(wicked,), problems=(wicked,)), "html")
    assert wicked not in text
    assert text.count("&lt;script&gt;") >= 4


def test_without_matplotlib_the_page_has_its_tables_and_says_what_is_missing(
    golden_report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = render(golden_report, "html")
    assert "<svg" not in text
    assert "No figures here: figures need matplotlib" in text
    assert golden_report.tables[0].title in text
