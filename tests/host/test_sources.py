"""An edited plugin has another fingerprint, whatever its form; what is not the plugin's has no part in it."""

from __future__ import annotations

import importlib
import os
import py_compile
import shutil
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trm_bench.harness.host.libraries import libraries
from trm_bench.harness.host.plugin_files import version_of
from trm_bench.harness.host.sources import UNKNOWN, file_fingerprint, fingerprint

Site = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Write files into a folder that Python imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def written(**files: str) -> Path:
        for name, content in files.items():
            path = folder / name.replace("__in__", "/").replace("__dot__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        importlib.invalidate_caches()
        return folder

    yield written
    for name in set(sys.modules) - before:
        del sys.modules[name]


def put(folder: Path, path: str, content: str = "") -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def of(module: str, owner: str = "acme") -> str:
    importlib.invalidate_caches()
    importlib.import_module(module)
    return fingerprint(module, owner)


@pytest.mark.parametrize(
    ("module", "files", "edited"),
    [
        ("acme_lab.solvers", {"acme_lab/solvers/__init__.py": ""}, "acme_lab/solvers/rule.py"),
        ("acme_lab.solvers.plug", {"acme_lab/solvers/plug.py": ""}, "acme_lab/solvers/rule.py"),
        ("acme_lab.solvers", {"acme_lab/solvers/__init__.py": ""}, "acme_lab/solvers/data/words.bin"),
        ("acme_lab.plug", {"acme_lab/plug/__init__.py": "import acme_lab.core.x"}, "acme_lab/core/x.py"),
        ("acme", {"acme/__init__.py": ""}, "acme/deep/er/recipe.toml"),
        ("acme.plug", {"acme/__init__.py": "", "acme/plug.py": ""}, "acme/other.py"),
        ("acme_one", {"acme_one.py": "def f():\n    import acme_two"}, "acme_two.py"),
        ("acme_1", {"acme_1.py": "from acme_2 import x", "acme_2.py": "x = 1\nimport acme_3"}, "acme_3.py"),
        ("acme_one", {"acme_one.py": "NAME = 'words.txt'"}, "words.txt"),
        ("acme_one", {"acme_one.py": "NAME = ('tables', 'words.txt')"}, "tables/words.txt"),
    ],
)  # fmt: skip
def test_an_edit_of_any_file_of_a_plugin_changes_its_fingerprint(
    module: str, files: dict[str, str], edited: str, site: Site
) -> None:
    folder = site()
    for path, content in files.items():
        put(folder, path, content)
    file = folder / edited
    if not file.exists():
        put(folder, edited, "# one\n")
    first = of(module)
    assert first == fingerprint(module, "acme")
    assert not first.startswith(UNKNOWN)
    put(folder, edited, file.read_text() + "# more\n")
    assert fingerprint(module, "acme") != first


@pytest.mark.parametrize(
    "path",
    ["acme/__pycache__/plug.cpython-311.pyc", "acme/.git/HEAD", "other.py", "acme/._plug.py", "acme/x.py~"],
)
def test_what_is_not_the_plugins_own_does_not_change_it(path: str, site: Site) -> None:
    folder = site()
    put(folder, "acme/__init__.py")
    first = of("acme")
    put(folder, path, "x")
    assert fingerprint("acme", "acme") == first


@pytest.mark.parametrize("style", ["native", "pkgutil"])
def test_of_a_namespace_only_the_part_of_the_distribution_counts(style: str, site: Site) -> None:
    folder = site()
    if style == "pkgutil":
        put(folder, "acme_ns/__init__.py", "__path__ = __import__('pkgutil').extend_path(__path__, __name__)")
    put(folder, "acme_ns/mine.py")
    put(folder, "acme_ns/sibling.py")
    put(folder, "acme_ns/theirs.py")
    put(folder, "other-1.0.dist-info/RECORD", "acme_ns/theirs.py,,\n")
    first = of("acme_ns.mine")
    put(folder, "acme_ns/theirs.py", "edited = True")
    assert fingerprint("acme_ns.mine", "acme") == first
    put(folder, "acme_ns/sibling.py", "edited = True")
    assert fingerprint("acme_ns.mine", "acme") != first


def test_the_files_that_a_distribution_lists_count_wherever_they_lie(site: Site) -> None:
    folder = site()
    put(folder, "acme_plug.py")
    put(folder, "acme_tables/table.csv", "1")
    put(folder, "acme-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    put(folder, "acme-1.0.dist-info/RECORD", "acme_plug.py,,\nacme_tables/table.csv,,\n")
    first = of("acme_plug")
    put(folder, "acme_tables/table.csv", "2")
    assert fingerprint("acme_plug", "acme") != first


def test_a_package_in_an_archive_and_one_of_compiled_files_alone_are_fingerprinted(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def packed(text: str) -> None:
        with zipfile.ZipFile(tmp_path / "acme.zip", "w") as archive:
            archive.writestr("acme_zipped/__init__.py", text)

    packed("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path / "acme.zip"))
    first = of("acme_zipped")
    packed("x = 2")
    assert fingerprint("acme_zipped", "acme") != first != ""

    folder = site()
    compiled = folder / "acme_bare" / "__init__.pyc"
    py_compile.compile(str(put(tmp_path, "one.py", "x = 1")), cfile=str(compiled))
    second = of("acme_bare")
    py_compile.compile(str(put(tmp_path, "one.py", "x = 2")), cfile=str(compiled))
    assert fingerprint("acme_bare", "acme") != second


def test_the_same_package_elsewhere_has_the_same_fingerprint(site: Site, tmp_path: Path) -> None:
    folder = site()
    put(folder, "acme/__init__.py", "x = 1")
    put(folder, "acme/data.txt", "1")
    first = of("acme")
    shutil.move(folder / "acme", tmp_path / "acme")
    sys.path.insert(0, str(tmp_path))
    try:
        del sys.modules["acme"]
        assert of("acme") == first
    finally:
        sys.path.remove(str(tmp_path))


def test_code_without_files_is_never_taken_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acme_made", types.ModuleType("acme_made"))
    assert fingerprint("acme_made", "acme").startswith(UNKNOWN)


def test_a_folder_of_links_to_itself_ends(site: Site) -> None:
    folder = site()
    put(folder, "acme/__init__.py")
    os.symlink(folder / "acme", folder / "acme" / "loop")
    assert of("acme") == fingerprint("acme", "acme")


def test_a_plugin_file_goes_by_its_helpers_and_data_too(tmp_path: Path) -> None:
    plugin = put(
        tmp_path, "plug.py", "import numpy, helping\nfrom parts.inner import x\nFILE = 'table.json'\n"
    )
    put(tmp_path, "helping.py", "import further")
    for path in ("further.py", "parts/inner.py", "table.json"):
        file = put(tmp_path, path, "1")
        first = version_of(plugin)
        file.write_text("2")
        assert version_of(plugin) != first, path
    first = file_fingerprint(plugin)
    put(tmp_path, "unrelated.py", "1")
    assert file_fingerprint(plugin) == first


@pytest.mark.parametrize(
    ("source", "edited"),
    [
        ("import importlib\nX = importlib.import_module('helping')", "helping.py"),
        ("from importlib import import_module\nX = import_module('parts.x')", "parts/x.py"),
        ("X = __import__('helping')", "helping.py"),
        ("import runpy\nX = runpy.run_path('lib/one.py')", "lib/one.py"),
        ("HERE = __file__\nX = 'lib', 'deep', 'one.txt'", "lib/deep/one.txt"),
        ("from importlib.resources import files\nX = files('tables')", "tables/__init__.py"),
        ("from pathlib import Path\nX = Path(__file__).with_suffix('.json')", "plug.json"),
        ("from pathlib import Path\nX = Path(__file__).parent.glob('words-*.txt')", "words-1.txt"),
        ("from pathlib import Path\nX = (Path(__file__).parent / 'words').glob('*.txt')", "words/a.txt"),
        ("from pathlib import Path\nX = (Path(__file__).parent / 'words').iterdir()", "words/a.txt"),
        ("X = '../beside.txt'", "../beside.txt"),
    ],
)  # fmt: skip
def test_what_a_plugin_file_reads_by_other_ways_counts_too(source: str, edited: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    put(folder, edited, "1")
    plugin = put(folder, "plug.py", source)
    first = version_of(plugin)
    put(folder, "unrelated.md", "1")
    assert version_of(plugin) == first
    put(folder, edited, "2")
    assert version_of(plugin) != first


def library(folder: Path, name: str, content: str, version: str = "1.0", requires: str = "") -> None:
    """A library of another distribution, installed where plugins are."""
    info = f"{name}-{version}.dist-info"
    more = f"Requires-Dist: {requires}\n" if requires else ""
    put(folder, f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
    own = [f"{name}/__init__.py,sha256={content},1", f"{info}/INSTALLER,sha256=pip,3", "../../bin/x,,"]
    put(folder, f"{info}/RECORD", "\n".join([*own, f"{name}/__pycache__/__init__.cpython-311.pyc,,"]))


@pytest.mark.parametrize(
    ("source", "requires"),
    [
        ("from acme_core import x", ""),
        ("def build():\n    from acme_core import Rule", ""),
        ("", "acme-core>=1"),
        ("", "acme_middle ; python_version > '3'"),
        ("def build():\n    import acme_middle", ""),
    ],
)
def test_another_version_of_a_library_that_a_plugin_rests_on_changes_its_fingerprint(
    source: str, requires: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, installed = site(), tmp_path / "site-packages"
    put(folder, "acme_plug.py", source)
    library(folder, "acme", "own", requires=requires)
    library(installed, "acme_core", "one")
    library(installed, "acme_middle", "middle", requires="Acme.Core")
    library(installed, "unrelated", "one")
    put(installed, "acme_core/__init__.py", "x = 1")
    monkeypatch.syspath_prepend(str(installed))
    first = of("acme_plug")
    library(installed, "unrelated", "another content", "2.0")
    put(installed, "acme_core-1.0.dist-info/INSTALLER", "another installer")
    assert fingerprint("acme_plug", "acme") == first
    library(installed, "acme_core", "another content of the same version")
    second = fingerprint("acme_plug", "acme")
    shutil.rmtree(installed / "acme_core-1.0.dist-info")
    library(installed, "acme_core", "another content of the same version", "2.0")
    assert len({first, second, fingerprint("acme_plug", "acme")}) == 3


def test_what_only_an_extra_requires_or_every_model_rests_on_does_not_count(site: Site) -> None:
    folder = site()
    put(folder, "acme_plug.py", "import numpy, torch, pydantic, trm_bench")
    library(folder, "acme", "own", requires="acme-dev; extra == 'dev'")
    library(folder, "acme_dev", "one")
    assert libraries(["numpy", "torch.nn", "pydantic", "trm_bench", "os"], "acme") == []


def test_a_plugin_file_goes_by_its_libraries_too(tmp_path: Path, site: Site) -> None:
    folder = site()
    plugin = put(tmp_path, "plug.py", "import acme_core")
    library(folder, "acme_core", "one")
    first = file_fingerprint(plugin)
    library(folder, "acme_core", "two")
    assert file_fingerprint(plugin) != first
