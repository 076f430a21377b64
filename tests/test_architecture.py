"""The house as docs/architecture.md draws it: rooms that import strictly downwards, and short files.

Every import counts, at whatever depth of the code it stands: at the top, in a function, under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support.paths import ROOT

HARNESS = ROOT / "harness"
PACKAGES = ("harness", "plugins", "trm", "hrm_baseline", "testing", "trm_bench")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ANNOTATION = ("harness.report.table", "Report")
"""The one thing that lies above and may be named: what a reporter and a hook are given."""
MOST_LINES, MOST_OF_A_FUNCTION = 500, 50


@dataclass(frozen=True)
class Arrow:
    """An import: from a line of a module to a name in another."""

    file: Path
    line: int
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.name} from {self.module}"


def module_of(path: Path) -> str:
    """``harness.api.errors``; a package is named without its ``__init__``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def arrows(path: Path, code: str | None = None) -> Iterator[Arrow]:
    """Every import within the repository, wherever in the file it stands."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8") if code is None else code)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = ".".join((*base, *(node.module.split(".") if node.module else ())))
            for alias in node.names:
                inner = ROOT.joinpath(*module.split("."), alias.name) if module else ROOT / alias.name
                if inner.is_dir() or inner.with_suffix(".py").is_file():  # `from . import provenance`
                    yield Arrow(path, node.lineno, f"{module}.{alias.name}".strip("."), alias.name)
                else:
                    yield Arrow(path, node.lineno, module or "trm_bench", alias.name)


def levels() -> dict[str, int]:
    """The rooms by the line of the drawing in docs/architecture.md, 0 the lowest."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (drawing,) = re.findall(r"```text rooms\n(.*?)```", page, flags=re.DOTALL)
    lines = [line.split() for line in drawing.splitlines() if line.strip()]
    return {room: level for level, rooms in enumerate(reversed(lines)) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1]


def wrong(arrow: Arrow) -> str:
    """Why an arrow breaks the rule; empty where it does not."""
    known, own = levels(), room_of(module_of(arrow.file))
    if not arrow.module.startswith("harness."):
        if arrow.name == "__version__" or (own == "cli" and arrow.module.startswith("testing")):
            return ""
        return f"{arrow}, which lies outside of harness/"
    there = room_of(arrow.module)
    if there == own or known[there] < known[own]:
        return ""
    if own == "api" and (arrow.module, arrow.name) == ANNOTATION:
        return ""
    return f"{arrow}, which does not lie below {own}"


def test_the_drawing_shows_every_room() -> None:
    rooms = {path.name for path in HARNESS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(levels()) == rooms


def test_rooms_import_strictly_downwards() -> None:
    problems = [
        found
        for path in HARNESS.rglob("*.py")
        if path.parent != HARNESS
        for arrow in arrows(path)
        if (found := wrong(arrow))
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "code",
    [
        "from ..planning.grid import plan",
        "def f():\n    from ..planning.grid import plan",
        "if TYPE_CHECKING:\n    from ..planning.grid import plan",
        "class A:\n    def f(self):\n        if 1:\n            from ..planning import grid",
        "from ...plugins.maze import task",
    ],
)
def test_an_import_upwards_is_seen_at_any_depth(code: str) -> None:
    (arrow,) = arrows(HARNESS / "store" / "records.py", code)
    assert "harness/store/records.py:" in wrong(arrow)


def test_no_circle_of_modules() -> None:
    graph: dict[str, set[str]] = {}
    for path in HARNESS.rglob("*.py"):
        own = module_of(path)
        graph[own] = {
            arrow.module
            for arrow in arrows(path)
            if arrow.module.startswith("harness.")
            and arrow.module != own
            and (arrow.module, arrow.name) != ANNOTATION
        }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_the_core_imports_no_model_and_no_task() -> None:
    for path in HARNESS.rglob("*.py"):
        for arrow in arrows(path):
            assert arrow.module.partition(".")[0] not in ("plugins", "trm", "hrm_baseline"), str(arrow)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_files_and_functions_are_short(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert code.count("\n") <= MOST_LINES, f"{module_of(path)} has {code.count(chr(10))} lines"
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MOST_OF_A_FUNCTION, f"{module_of(path)}.{node.name} has {length} lines"
