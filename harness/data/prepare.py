"""Puzzles on their way from a task plugin to the cells: built once, cached, read back by split.

Owns the cache folder and the promise that test data is read only when the test split is requested.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs

from ..api.embedding_rows import EmbeddingRows
from ..api.errors import DataError, UnavailableError, UsageError, nearest
from ..api.puzzles import Identities, PuzzleSet, Source, SourceFile, TaskData, TaskInfo
from ..api.specs import BuildRequest, Scale, TaskSpec
from ..host.host import OWN_DISTRIBUTION, Part, Plugin
from ..store.provenance import plugin_fingerprint

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FORMAT = 2
"""Version of the files in the cache; goes up when they change, so that old ones are not read."""
CACHE_VARIABLE = "TRM_BENCH_CACHE"
_ARRAYS = ("inputs", "targets", "ids", "clusters", "identifiers")


@dataclass(frozen=True)
class Prepared:
    """A task's puzzles on disk.

    Attributes:
        folder: holds ``train.npz``, ``validation.npz``, ``test.npz`` and ``data.json``.
        info, source: as the task gave them.
        fingerprints, counts: by split.
        identities: as the task gave them.
        rows: of the puzzle embedding, where there are identities; see `for_budget`.
    """

    folder: Path
    info: TaskInfo
    source: Source
    fingerprints: dict[str, str]
    counts: dict[str, int]
    identities: Identities | None = None
    rows: EmbeddingRows | None = None

    def for_budget(self, augmentations: int) -> Prepared:
        """The same with a row of the puzzle embedding for every augmentation that is trained on.

        ``info.identifiers`` becomes the number of rows, which is all that a model needs to know.
        """
        if self.identities is None:
            return self
        trained = np.unique(self.read("train").identifiers)
        rows = EmbeddingRows.lay_out(self.identities, trained, augmentations)
        return replace(self, info=replace(self.info, identifiers=rows.total), rows=rows)

    def read(self, split: Split) -> PuzzleSet:
        """Read one split and check that it is what was written.

        Raises:
            DataError: the file is missing or damaged; names it.
        """
        path = self.folder / f"{split}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                puzzles = PuzzleSet(*(arrays[name] for name in _ARRAYS))
        except Exception as error:
            raise DataError(
                f"{path}: cannot be read ({error}); delete {self.folder} and run again"
            ) from error
        if puzzles.fingerprint() != self.fingerprints[split]:
            raise DataError(f"{path}: not what was written; delete {self.folder} and run again")
        return puzzles


def cache_root() -> Path:
    """The cache folder: ``$TRM_BENCH_CACHE``, else the user's own."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("trm-bench"))


def scale_of(spec: TaskSpec, name: str) -> Scale:
    """The scale of that name.

    Raises:
        UsageError: the task has none of that name; the nearest is suggested.
    """
    if name not in spec.scales:
        raise UsageError(f"task {spec.name!r} has no scale {name!r}; {nearest(name, spec.scales)}")
    return spec.scales[name]


def usual_scale(spec: TaskSpec) -> str:
    """The scale where none is requested: mini, or the first of a task without it."""
    return "mini" if "mini" in spec.scales else next(iter(spec.scales))


def prepare(part: Part[TaskSpec], request: BuildRequest) -> Prepared:
    """Build a task's puzzles, or take them from the cache.

    Raises:
        UsageError: unknown scale or source (the nearest is suggested).
        DataError: a data file is missing or wrong.
    """
    spec = part.spec
    scale_of(spec, request.scale)
    if request.source not in spec.sources:
        raise UsageError(
            f"task {spec.name!r} has no source {request.source!r}; {nearest(request.source, spec.sources)}"
        )
    if request.folder is not None and spec.files is None:
        raise UsageError(f"task {spec.name!r} reads no files; leave --data {request.folder} out")
    folder = cache_root() / "data" / f"{spec.name}-{request.scale}-{_key(part, request)}"
    if not (folder / "data.json").is_file():
        data = spec.build(request)
        _check(data)
        _write(folder, data)
    return _open(folder)


def _check(data: TaskData) -> None:
    """Check what every task promises, before a model crashes on it."""
    for split in SPLITS:
        puzzles: PuzzleSet = getattr(data, split)
        what = f"task {data.info.task!r}, {split} split"
        if not len(puzzles):
            raise DataError(f"{what}: no puzzles")
        if puzzles.inputs.shape[1] != data.info.cells:
            raise DataError(f"{what}: puzzles of {puzzles.inputs.shape[1]} cells, not {data.info.cells}")
        largest = max(int(puzzles.inputs.max()), int(puzzles.targets.max()))
        if largest >= data.info.vocab_size:
            raise DataError(f"{what}: token {largest} is not below vocab_size={data.info.vocab_size}")
        if data.identities is not None and len(data.identities) != data.info.identifiers:
            raise DataError(
                f"{what}: {len(data.identities)} identities, but TaskInfo.identifiers={data.info.identifiers}"
            )
        if not 0 <= int(puzzles.identifiers.min()) <= int(puzzles.identifiers.max()) < data.info.identifiers:
            raise DataError(f"{what}: puzzle identifiers must be from 0 to {data.info.identifiers - 1}")


def _key(part: Part[TaskSpec], request: BuildRequest) -> str:
    files: list[tuple[str, str]] = []
    if request.folder is not None and part.spec.files is not None:
        folder = request.folder  # where a file lies may say what it is, so names are relative to it
        files = [(os.path.relpath(path, folder), file_sha256(path)) for path in part.spec.files(folder)]
    identity = (
        FORMAT,
        part.full_name,
        part.spec.version,
        *_sources_of(part.plugin),
        request.scale,
        request.seed,
        request.source,
        sorted(request.options.items()),
        files,
        *([] if request.at_most is None else [request.at_most]),
    )
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sources_of(plugin: Plugin) -> list[str]:
    """Fingerprint of the code of a task that is not ours: it may be edited without a new version."""
    if plugin.distribution == OWN_DISTRIBUTION:
        return []
    return [plugin.version if plugin.file else plugin_fingerprint(plugin.module) or ""]


def _write(folder: Path, data: TaskData) -> None:
    """Write into a folder of its own first, so that a half-written one never has the final name."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    except OSError as error:
        raise UnavailableError(
            f"cache folder {folder.parent}: not writable ({error.strerror}); set {CACHE_VARIABLE} to another"
        ) from error
    try:
        meta: dict[str, Any] = {"info": asdict(data.info), "source": asdict(data.source)}
        if data.identities is not None:
            meta["identities"] = {
                name: getattr(data.identities, name).tolist()
                for name in ("names", "augmentations", "symmetry")
            }
        for split in SPLITS:
            puzzles: PuzzleSet = getattr(data, split)
            np.savez_compressed(
                scratch / f"{split}.npz", **{name: getattr(puzzles, name) for name in _ARRAYS}
            )
            meta.setdefault("fingerprints", {})[split] = puzzles.fingerprint()
            meta.setdefault("counts", {})[split] = len(puzzles)
        (scratch / "data.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        if not (folder / "data.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)  # without its description it is of no use
        try:
            scratch.rename(folder)
        except OSError:
            if not (folder / "data.json").is_file():  # else another process was faster, with the same puzzles
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _open(folder: Path) -> Prepared:
    path = folder / "data.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        source = Source(**meta["source"])
        files = tuple(SourceFile(**file) for file in meta["source"]["files"])
        source = replace(source, files=files, notes=tuple(source.notes), caveats=tuple(source.caveats))
        info = TaskInfo(**meta["info"])
        return Prepared(
            folder, info, source, meta["fingerprints"], meta["counts"], _identities(meta.get("identities"))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete {folder} and run again") from error


def _identities(content: dict[str, Any] | None) -> Identities | None:
    if content is None:
        return None
    augmentations = np.array(content["augmentations"], np.int64)
    return Identities(np.array(content["names"]), augmentations, np.array(content["symmetry"]))
