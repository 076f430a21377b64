"""A new virtual environment for tests of plugins: it sees what this one has, and downloads nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Python:
    """The interpreter of an environment in ``folder``."""

    folder: Path

    @property
    def executable(self) -> Path:
        """Its path."""
        return self.folder / "bin" / "python"

    def run(
        self, *arguments: str, folder: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python arguments`` in a folder; a failure is an AssertionError with what it printed."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        ended = subprocess.run(
            [str(self.executable), *arguments],
            cwd=folder or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or ended.returncode == 0, f"{arguments}: {ended.stdout}\n{ended.stderr}"
        return ended

    def install(self, project: Path) -> None:
        """Install a project from a copy of it, so that no build files are left behind."""
        copied = self.folder / "projects" / project.name
        shutil.copytree(project, copied)
        self.run("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", str(copied))


def fresh_environment(folder: Path) -> Python:
    """Make a virtual environment that sees the packages of this interpreter through a ``.pth`` line."""
    venv.create(folder, symlinks=True)
    python = Python(folder)
    script = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = Path(python.run("-c", script).stdout.strip())
    seen = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({path!r})" for path in seen]
    (own / "of_the_tests.pth").write_text("\n".join(lines) + "\n")
    return python
