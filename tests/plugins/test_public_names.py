"""URM and EqR are written as anybody's plugin: of public names alone."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import ROOT

import trm_bench
import trm_bench.nn

PUBLIC = {"trm_bench": trm_bench.__all__, "trm_bench.nn": trm_bench.nn.__all__}
LIBRARIES = {"torch", "pydantic", *sys.stdlib_module_names}
FILES = [path for name in ("urm", "eqr") for path in sorted((ROOT / "plugins" / name).glob("*.py"))]


def refused(code: str) -> Iterator[str]:
    """Imports of anything but the public names, a few libraries, and the plugin's own modules."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.partition(".")[0] not in LIBRARIES)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module, names = str(node.module), [one.name for one in node.names]
            if module in PUBLIC:
                yield from (f"{module}.{name}" for name in names if name not in PUBLIC[module])
            elif module.partition(".")[0] not in LIBRARIES:
                yield module
        elif isinstance(node, ast.ImportFrom) and node.level > 1:
            yield f"{'.' * node.level}{node.module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_only_public_names_are_imported(path: Path) -> None:
    assert list(refused(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "from ...harness.nn.blocks import Stack",
        "def f():\n    from trm_bench.harness.api.reasoner import Reasoner",
        "from trm_bench.nn import Callable",
        "import numpy",
        "import trm_bench.trm.model",
    ],
)
def test_another_import_is_refused(code: str) -> None:
    assert list(refused(code))
