"""``python -m trm_bench``, the same as ``trm-bench``."""

from .harness.cli import main

if __name__ == "__main__":
    main()
