"""The command line in a process of its own, or on streams of any encoding."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest


def environment(**more: str) -> dict[str, str]:
    """That of the tests, with UTF-8 and without the settings of the terminal that they run in."""
    ours = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LC_ALL", "PYTHONUTF8")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PYTHONIOENCODING": "utf-8", "TERM": "xterm", **more}


def shell(*words: object, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Call the command line in a process of its own, where streams are what they are."""
    line = [sys.executable, "-m", "trm_bench", *map(str, words)]
    return subprocess.run(line, capture_output=True, env=environment(**more), check=False)


def printed(encoding: str, *words: object) -> tuple[int, bytes, bytes]:
    """Call the command line in this process, on streams of that encoding: its exit code and what it wrote."""
    from trm_bench.harness.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        # A dry run would measure this machine for seconds.
        patch.setattr("trm_bench.harness.python.verbs.product_rate", lambda *_: 1e9)
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    for stream in (out, err):
        stream.flush()
    return code, out.buffer.getvalue(), err.buffer.getvalue()  # type: ignore[attr-defined]


def strictly(text: str | bytes) -> Any:
    """JSON as the standard has it, which knows no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)
