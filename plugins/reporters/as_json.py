"""The report as JSON: the dataclasses of `harness.report.table`, field by field, scores 0 to 1."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ...harness.report.table import Report


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def render(report: Report) -> str:
    """The whole report; ``title`` is added to each table and ``label`` to each row."""
    content = json.loads(json.dumps(asdict(report), default=_plain))
    del content["costs"]  # which tables are printed as text
    for table, entry in zip(report.tables, content["tables"], strict=True):
        entry["title"] = table.title
        for row, inner in zip(table.rows, entry["rows"], strict=True):
            inner["name"], inner["label"] = row.name, row.label
    return json.dumps(content, indent=1, ensure_ascii=False)


def schema() -> dict[str, Any]:
    """The JSON schema of what `render` writes."""
    found = TypeAdapter(Report).json_schema(mode="serialization")
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "trm-bench report"
    del found["properties"]["costs"]
    for kind, added, what in (
        ("Table", "title", "task, scale, source and number of puzzles in one line"),
        ("Row", "name", "what tables call the model, how it was evaluated, and its number"),
        ("Row", "label", "the name, and the name that is typed where that is another"),
    ):
        found["$defs"][kind]["properties"][added] = {"type": "string", "description": what}
        found["$defs"][kind]["required"].append(added)
    return found
