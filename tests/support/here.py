"""``python -m support.here``: the command line, its runs in its own process instead of one each."""

from __future__ import annotations

from trm_bench.harness.cli import main

from .stored import in_this_process

if __name__ == "__main__":
    with in_this_process(forecast=True):
        main()
