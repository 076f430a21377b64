"""Does a wheel hold every module and recipe of the checkout? ``python tests/check_wheel.py WHEEL``."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = (".html", ".j2", ".py", ".yaml")
FOLDERS = ("harness", "plugins", "testing", "trm", "hrm_baseline")


def expected() -> set[str]:
    """Every file that the installed package needs, as it is named in the wheel."""
    face = {f"trm_bench/{path.name}" for path in (ROOT / "trm_bench").iterdir() if path.suffix in SUFFIXES}
    rooms = {
        f"trm_bench/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES
    }
    return face | rooms | {"trm_bench/py.typed"}


def main(wheel: str) -> int:
    """Exit code 1, and the names, if anything is missing or does not belong."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("trm_bench/")}
    missing, foreign = sorted(expected() - held), sorted(held - expected())
    for name in missing:
        print(f"missing from the wheel: {name}")
    for name in foreign:
        print(f"does not belong into the wheel: {name}")
    print(f"{len(held)} files in {Path(wheel).name}")
    return 1 if missing or foreign else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
