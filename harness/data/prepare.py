"""Puzzles on their way from a task plugin to the runs: built once, cached, read back by split.

Owns the cache folder and the promise that test data is read only when the test split is requested.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs
from numpy.typing import NDArray

from ..api.embedding_rows import EmbeddingRows
from ..api.errors import DataError, UnavailableError, UsageError, nearest
from ..api.puzzles import PAD, Identities, PuzzleSet, Source, SourceFile, TaskData, TaskInfo
from ..api.specs import BuildRequest, Scale, TaskSpec
from ..api.text import file_name
from ..host.calls import calling
from ..host.host import OWN_DISTRIBUTION, Part, Plugin
from ..host.sources import fingerprint
from ..store.checked import DamagedResult, read_stamped, stamped
from .overlap import with_overlaps

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FORMAT = 4
"""Version of the files in the cache; goes up when they change, so that old ones are not read."""
CACHE_VARIABLE = "TRM_BENCH_CACHE"
_ARRAYS = ("inputs", "targets", "ids", "clusters", "identifiers")
FEATURES = "features.npz"


@dataclass(frozen=True)
class Prepared:
    """A task's puzzles on disk.

    Attributes:
        folder: holds ``train.npz``, ``validation.npz``, ``test.npz``, ``features.npz`` and ``data.json``.
        info: as the task gave it.
        source: as the task gave it, with what test shares with the other splits and with itself.
        fingerprints, counts: by split.
        features_sha256: of the file of features.
        identities: as the task gave them.
        rows: of the puzzle embedding, where there are identities; see `for_budget`.
    """

    folder: Path
    info: TaskInfo
    source: Source
    fingerprints: dict[str, str]
    counts: dict[str, int]
    features_sha256: str
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

    def features(self) -> dict[str, NDArray[np.float64]]:
        """What the task knows of each test puzzle, (N,) numbers by name; see `TaskSpec.features`.

        Raises:
            DataError: the file is missing or damaged; names it.
        """
        path = self.folder / FEATURES
        try:
            if file_sha256(path) != self.features_sha256:
                raise DataError(f"{path}: not what was written; delete {self.folder} and run again")
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error}); delete {self.folder} and run again"
            ) from error


def cache_root() -> Path:
    """The cache folder: ``$TRM_BENCH_CACHE``, else the user's own."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("trm-bench"))


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
    if request.reads_files and spec.files is None:
        given = next(path for path in (request.folder, *request.train, *request.test) if path is not None)
        option = "--data" if request.folder is not None else "--train" if request.train else "--test"
        raise UsageError(f"task {spec.name!r} reads no files; leave {option} {given} out")
    folder = _folder(part, request)
    if not (folder / "data.json").is_file():
        with calling(f"puzzles of task {part.full_name}", reads_files=True):
            data = spec.build(request)
            _check(data, request.training)
            data = with_overlaps(spec, data)
            features = features_of(spec, data)
        _write(folder, data, features)
    prepared = _open(folder)
    if request.training:
        _require_training(spec.name, prepared.counts)
    return prepared


def is_prepared(part: Part[TaskSpec], request: BuildRequest) -> bool:
    """Whether the puzzles of a request are in the cache."""
    return (_folder(part, request) / "data.json").is_file()


def _folder(part: Part[TaskSpec], request: BuildRequest) -> Path:
    """The place of a request's puzzles in the cache."""
    with calling(f"files of task {part.full_name}", reads_files=True):
        key = _key(part, request)
    return cache_root() / "data" / f"{file_name(part.spec.name)}-{file_name(request.scale)}-{key}"


def features_of(spec: TaskSpec, data: TaskData) -> dict[str, NDArray[np.float64]]:
    """What a task knows of each test puzzle.

    Raises:
        DataError: it does not give a finite number for each puzzle.
    """
    given = {} if spec.features is None else spec.features(data.info, data.test)
    features = {name: np.asarray(values, np.float64) for name, values in given.items()}
    for name, values in features.items():
        if values.shape != (len(data.test),) or not np.isfinite(values).all():
            raise DataError(
                f"task {spec.name!r}: feature {name!r} must be a finite number for each of "
                f"{len(data.test)} test puzzles"
            )
    return features


def _require_training(task: str, counts: Mapping[str, int]) -> None:
    for split in ("train", "validation"):
        if not counts[split]:
            raise DataError(f"task {task!r}, {split} split: no puzzles")


def _check(data: TaskData, training: bool) -> None:
    """Check what every task promises, before a model crashes on it."""
    if training:
        _require_training(data.info.task, {split: len(getattr(data, split)) for split in SPLITS})
    for split in SPLITS:
        puzzles: PuzzleSet = getattr(data, split)
        what = f"task {data.info.task!r}, {split} split"
        if not len(puzzles):
            if split == "test":
                raise DataError(f"{what}: no puzzles")
            continue
        for name in ("inputs", "targets"):
            if (kind := getattr(puzzles, name).dtype) != np.uint8:  # others would be cut off in silence
                raise DataError(f"{what}: {name} are {kind}, not uint8 (token codes from 0 to 255)")
        if puzzles.inputs.shape[1] != data.info.cells:
            raise DataError(f"{what}: puzzles of {puzzles.inputs.shape[1]} cells, not {data.info.cells}")
        unlabelled = puzzles.ids[(puzzles.targets == PAD).all(axis=1)]
        if len(unlabelled):  # such a puzzle would be solved by anything
            raise DataError(f"{what}: puzzle {unlabelled[0]} has no answer, its target is all padding")
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
    if request.reads_files and part.spec.files is not None:
        files = [(_place(path, request), file_sha256(path)) for path in part.spec.files(request)]
        if request.folder is not None:  # a note may name files that are not read
            files += [(name, "") for name in sorted(os.listdir(request.folder))]
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


def _place(path: Path, request: BuildRequest) -> str:
    """Where a file lies, which may say what it is: below what was named, or below the folder."""
    for role in ("train", "test"):
        for chosen in getattr(request, role):
            if path == chosen or chosen in path.parents:
                return f"--{role} {os.path.relpath(path, chosen.parent)}"
    return path.name if request.folder is None else os.path.relpath(path, request.folder)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sources_of(plugin: Plugin) -> list[str]:
    """Fingerprint of the code of a task that is not ours: it may be edited without a new version."""
    if plugin.distribution == OWN_DISTRIBUTION:
        return []
    return [plugin.version if plugin.file else fingerprint(plugin.module, plugin.distribution)]


def _write(folder: Path, data: TaskData, features: Mapping[str, NDArray[np.float64]]) -> None:
    """Write into a folder of its own first, so that a half-written one never has the final name."""
    scratch = folder.parent / f".new-{secrets.token_hex(8)}"
    try:
        scratch.mkdir(parents=True)  # unlike tempfile's, readable for whom the umask lets
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
            if (untrained := _untrained(data)) is not None:
                meta["fingerprints"] = {"identities": untrained}
        for split in SPLITS:
            puzzles: PuzzleSet = getattr(data, split)
            np.savez_compressed(
                scratch / f"{split}.npz", **{name: getattr(puzzles, name) for name in _ARRAYS}
            )
            meta.setdefault("fingerprints", {})[split] = puzzles.fingerprint()
            meta.setdefault("counts", {})[split] = len(puzzles)
        np.savez_compressed(scratch / FEATURES, **features)  # type: ignore[arg-type]
        meta["features_sha256"] = file_sha256(scratch / FEATURES)
        (scratch / "data.json").write_bytes(stamped(meta))
        _put(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put(scratch: Path, folder: Path) -> None:
    """Give a finished folder its name; another process may do the same, with the same puzzles.

    Nothing is deleted under that name: what lies there without its description is moved aside first.
    """
    try:
        scratch.rename(folder)
        return
    except OSError:
        if (folder / "data.json").is_file():
            return
    aside = folder.parent / f".old-{secrets.token_hex(8)}"
    try:
        with suppress(FileNotFoundError):
            folder.rename(aside)
        scratch.rename(folder)
    except OSError:
        if not (folder / "data.json").is_file():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _untrained(data: TaskData) -> str | None:
    """SHA-256 of the identities that no training puzzle has; None where there are none.

    The views that such puzzles are voted on under rest on them; other identities follow from the puzzles.
    """
    assert data.identities is not None
    trained = np.isin(np.arange(len(data.identities)), data.train.identifiers)
    if trained.all():
        return None
    columns = (data.identities.names, data.identities.augmentations, data.identities.symmetry)
    content = [column[~trained].tolist() for column in columns]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _open(folder: Path) -> Prepared:
    path = folder / "data.json"
    try:
        meta = read_stamped(path)
        source = Source(**meta["source"])
        files = tuple(SourceFile(**file) for file in meta["source"]["files"])
        source = replace(source, files=files, notes=tuple(source.notes), caveats=tuple(source.caveats))
        info = TaskInfo(**meta["info"])
        identities = _identities(meta.get("identities"))
        return Prepared(
            folder, info, source, meta["fingerprints"], meta["counts"], meta["features_sha256"], identities
        )
    except DamagedResult as error:
        raise DataError(f"{error}; delete {folder} and run again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete {folder} and run again") from error


def _identities(content: dict[str, Any] | None) -> Identities | None:
    if content is None:
        return None
    augmentations = np.array(content["augmentations"], np.int64)
    return Identities(np.array(content["names"]), augmentations, np.array(content["symmetry"]))
