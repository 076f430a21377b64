"""How Sphinx makes a site of these pages: ``sphinx-build -W docs build/docs``.

The pages are plain Markdown that reads as well without Sphinx. What they link to outside of this folder is no
page of the site, and becomes a download.
"""

import re
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

project = "trm-bench"
author = "The trm-bench authors"
project_copyright = f"2026, {author}"
release = metadata.version(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other packages, and of modules that are not public
autodoc_typehints = "none"
suppress_warnings = ["ref.python"]  # attributes of two classes may have one name
autodoc_member_order = "bysource"
napoleon_attr_annotations = False
myst_heading_anchors = 4
exclude_patterns = ["*.ipynb"]

html_theme = "furo"
html_title = f"{project} {release}"


LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)\)")


def offer_what_lies_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Make downloads of links to files outside of this folder, which Sphinx takes for missing pages."""

    def offered(link: re.Match[str]) -> str:
        target = (Path(app.srcdir) / page).parent.joinpath(link[2]).resolve()
        inside = target.is_relative_to(Path(app.srcdir).resolve())
        return link[0] if inside or not target.is_file() else f"{{download}}`{link[1]} <{link[2]}>`"

    source[0] = LINK.sub(offered, source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", offer_what_lies_outside)
