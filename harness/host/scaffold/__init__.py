"""A small project that is a working plugin, to begin from: `trm-bench new-plugin`.

Owns what the files are called and how a name becomes names; what is in them is in the templates next to this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2

from ...api.errors import UsageError
from ...api.specs import API_VERSION

KINDS = ("model", "task", "evaluator", "reporter")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_COMMON = {
    "pyproject.toml": "pyproject.toml.j2",
    "README.md": "README.md.j2",
    "LICENSE": "LICENSE.j2",
    ".gitignore": "gitignore.j2",
    ".github/workflows/test.yml": "workflow.yml.j2",
}


@dataclass(frozen=True)
class Project:
    """Names that fill the templates.

    Attributes:
        name: of the distribution and of what it registers, e.g. ``my-model``.
        kind: one of `KINDS`.
        version: of trm-bench, which the project asks for at least.
    """

    name: str
    kind: str
    version: str

    @property
    def module(self) -> str:
        """The name in code, e.g. ``my_model``."""
        return self.name.replace("-", "_")

    def files(self) -> dict[str, str]:
        """The content of every file, by its path in the project."""
        templates = {
            **_COMMON,
            f"{self.module}/__init__.py": f"{self.kind}.py.j2",
            f"tests/test_{self.module}.py": f"test_{self.kind}.py.j2",
        }
        if self.kind == "model":
            templates[f"{self.module}/recipes.yaml"] = "recipes.yaml.j2"
        words = jinja2.Environment(
            loader=jinja2.PackageLoader(__package__, "."),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # nothing here is HTML
        )
        known = {
            "name": self.name,
            "module": self.module,
            "kind": self.kind,
            "version": self.version,
            "api_version": API_VERSION,
            "year": datetime.now(UTC).year,
            "title": "".join(part.capitalize() for part in self.name.split("-")),
        }
        return {path: words.get_template(name).render(known) for path, name in templates.items()}


def write_project(project: Project, folder: Path) -> list[Path]:
    """Write a project into a folder that does not exist yet, and give its files.

    Raises:
        UsageError: a wrong name or kind, or the folder is there already.
    """
    if not _NAME.fullmatch(project.name):
        raise UsageError(
            f"{project.name!r}: a plugin's name is small letters, digits and single hyphens, e.g. my-model"
        )
    if project.kind not in KINDS:
        raise UsageError(f"--kind {project.kind}: choose one of {', '.join(KINDS)}")
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder}: is there already; nothing was written")
    written = []
    for name, content in project.files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        written.append(path)
    return written
