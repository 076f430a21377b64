"""docs/trust.md: each promise is held by a test that exists."""

from __future__ import annotations

import re

from support.paths import ROOT

TEXT = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")


def test_each_promise_names_the_test_that_holds_it() -> None:
    promises = re.findall(r"^- .+(?:\n  .+)*", TEXT, flags=re.MULTILINE)
    assert len(promises) > 20
    for promise in promises:
        assert re.search(r"\(`tests/\S+::test_\w+`\)$", promise), promise


def test_the_tests_that_are_named_exist() -> None:
    for file, name in re.findall(r"`(tests/\S+?)::(test_\w+)`", TEXT):
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"
