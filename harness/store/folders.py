"""Results on disk: one folder per run, written atomically, read back with every fault named."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..api.errors import UnavailableError, UsageError
from ..api.predictions import Predictions
from .checked import DamagedResult, read_file, read_json, read_stamped, stamped, without_stamp
from .disk import at, os_error, suppressed
from .predictions import Shown, shown_of, unpack_predictions
from .records import SCHEMA_VERSION, Manifest, Record, Status

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST, SAMPLES, PREDICTIONS, METRICS, WEIGHTS = (
    "manifest.json",
    "samples.jsonl.gz",
    "predictions.npz",
    "metrics.jsonl",
    "model.safetensors",
)
FILES = (MANIFEST, SAMPLES, PREDICTIONS, METRICS, WEIGHTS)
"""In the order in which they are taken away: without its manifest the rest counts as not done."""
CHECKPOINT = "checkpoint.pt"
"""In a run's folder while it is trained; deleted when the run is done."""
LARGEST_LINE = 1 << 16
"""Bytes of a line of samples beyond which a file is not believed."""
LARGEST_PREDICTIONS = 4 << 30
GRID = "grid.json"
"""In an output folder: what all of its runs have in common."""


_MISSING = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""What a file system says to a call that it lacks: some in user space have no fsync or chmod."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a scratch file; what is written to it takes the place of ``path``, whole or not at all.

    Raises:
        OSError: it could not be written; names ``path``.
    """
    scratch = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        # Made by the kernel, so that the umask and the folder's own rules decide who may read it.
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        mode = os.fstat(handle).st_mode & 0o777
        os.close(handle)
        yield scratch
        with scratch.open("rb") as stream, suppressed(*_MISSING):
            os.fsync(stream.fileno())
        with suppressed(*_MISSING, errno.EPERM):
            os.chmod(scratch, mode)  # safetensors puts a file of its own in the place
        os.replace(scratch, path)
    except BaseException as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        if (cause := os_error(error)) is not None:
            raise at(path, cause, scratch) from error
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


def _written_first(path: Path, content: bytes) -> bool:
    """Write a file unless another process has written it meanwhile; gives whether this one did."""
    scratch = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    write_atomically(scratch, content)
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without second names
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    return True


def pack_records(records: Iterable[Record]) -> bytes:
    """Records as gzipped JSON lines; the same records give the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed:
        for record in records:
            packed.write(record.model_dump_json().encode() + b"\n")
    return buffer.getvalue()


def _move(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).exists():
            os.replace(source / name, target / name)


def _link(source: Path, target: Path) -> None:
    """A second name of a file, where the file system has such; files are replaced, never changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class RunFolder:
    """The folder of one run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = folder.name

    def start(self, manifest: Manifest, fresh: bool = True) -> None:
        """Make the folder from scratch; a finished result in it is set aside until the new one is there.

        Unless ``fresh``, a checkpoint is kept for the run to continue from, and what is set aside stays
        there: a batch system may have stopped the repetition of a finished run, and continues it.
        """
        if fresh or not (self._aside.is_dir() and self.checkpoint.is_file()) or self.is_done():
            self.restore()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.is_done():
            self._moving.mkdir()
            _move(self.folder, self._moving, self._names(self.folder))
            self._moving.rename(self._aside)
        self._clear(keep=() if fresh else (CHECKPOINT,))
        self.write_manifest(manifest)

    def _clear(self, keep: Sequence[str] = ()) -> None:
        for path in self.folder.iterdir():
            if path.name not in keep and (path.is_file() or path.is_symlink()):
                path.unlink()

    @staticmethod
    def _names(folder: Path) -> list[str]:
        """The files of a run, ours first; see `FILES`."""
        others = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in FILES)
        return [*FILES, *others]

    @property
    def _aside(self) -> Path:
        return self.folder / ".previous"

    @property
    def checkpoint(self) -> Path:
        """Checkpoint of a run in training."""
        return self.folder / CHECKPOINT

    @property
    def _moving(self) -> Path:
        """A finished result on its way aside or back: what lies next to this folder belongs to it, too."""
        return self.folder / ".moving"

    def set_aside(self) -> RunFolder | None:
        """A finished result that an attempt to repeat it, killed or still running, has set aside."""
        places = [RunFolder(place) for place in (self._aside, self._moving)]
        return next((place for place in places if place.is_done()), None)

    def restore(self) -> bool:
        """Put a finished result back that was set aside for an attempt that came to nothing.

        Nothing of the attempt stays. A death at any moment is made good by the next call.
        """
        if self._aside.is_dir():
            if self.is_done():  # killed just before the new result could drop the old one
                shutil.rmtree(self._aside)
                return False
            self._clear()
            self._aside.rename(self._moving)
        if not self._moving.is_dir():
            return False
        _move(self._moving, self.folder, self._names(self._moving)[::-1])
        shutil.rmtree(self._moving)
        return True

    def write_weights(self, weights: Mapping[str, Tensor]) -> str:
        """Write `model.safetensors`, as soon as there are trained weights, and give its SHA-256.

        Straight to the disk: an embedding table has gigabytes.
        """
        from safetensors.torch import save_file

        with replacing(self.folder / WEIGHTS) as scratch:
            save_file(dict(weights), scratch)
        with (self.folder / WEIGHTS).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def write_extra(self, name: str, content: bytes) -> None:
        """Write one of a task's extra files.

        Raises:
            ValueError: the name is that of a file of ours, or no plain file name.
        """
        if not name or name in (*FILES, CHECKPOINT) or Path(name).name != name or name.startswith("."):
            raise ValueError(f"a run cannot have an extra file called {name!r}")
        write_atomically(self.folder / name, content)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write or replace `manifest.json`."""
        write_atomically(self.folder / MANIFEST, stamped(manifest.model_dump(mode="json")))

    def write_log(self, lines: Iterable[Mapping[str, float]]) -> None:
        """Replace `metrics.jsonl`: a run that goes back to a checkpoint goes back to its log."""
        write_atomically(self.folder / METRICS, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def log(self, metrics: Mapping[str, float]) -> None:
        """Append a line to `metrics.jsonl`.

        Raises:
            OSError: it could not be written; names the file.
        """
        path = self.folder / METRICS
        try:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(metrics) + "\n")
        except OSError as error:
            raise at(path, error) from error

    def replace_samples(self, manifest: Manifest, records: Sequence[Record]) -> None:
        """Give a finished run other samples; after a death in between it has the old ones."""
        copying = self.folder / ".copying"
        shutil.rmtree(copying, ignore_errors=True)
        copying.mkdir()
        for name in self._names(self.folder):
            if (self.folder / name).is_file():
                _link(self.folder / name, copying / name)
        copying.rename(self._aside)
        self._write_samples(manifest, records)
        shutil.rmtree(self._aside)

    def _write_samples(self, manifest: Manifest, records: Sequence[Record], **more: Any) -> None:
        samples = pack_records(records)
        write_atomically(self.folder / SAMPLES, samples)
        sha256 = hashlib.sha256(samples).hexdigest()
        update = {"samples": len(records), "samples_sha256": sha256, **more}
        self.write_manifest(manifest.model_copy(update=update))

    def finish(self, manifest: Manifest, records: Sequence[Record], predictions: bytes) -> None:
        """Write predictions and samples, and last of all the manifest that says done."""
        write_atomically(self.folder / PREDICTIONS, predictions)
        sha256 = hashlib.sha256(predictions).hexdigest()
        self._write_samples(manifest, records, status=Status.DONE, predictions_sha256=sha256)
        self.checkpoint.unlink(missing_ok=True)
        shutil.rmtree(self._aside, ignore_errors=True)

    def manifest(self) -> Manifest:
        """Read `manifest.json`.

        Raises:
            DamagedResult: it is missing, cut short, edited, or of another schema version.
        """
        path = self.folder / MANIFEST
        try:
            content = read_json(path)
            if (version := content.get("schema_version")) != SCHEMA_VERSION:
                raise DamagedResult(f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}")
            content = without_stamp(path, content)
        except DamagedResult as error:
            raise DamagedResult(f"{error}; repeat the run") from error
        try:
            return Manifest.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise DamagedResult(f"{path}: {key}: {first['msg']}") from error

    def samples(self) -> bytes:
        """The JSON lines of `samples.jsonl.gz`, checked against the manifest.

        Raises:
            DamagedResult: the file is missing, cut short, or not what the manifest was written for.
        """
        path, manifest = self.folder / SAMPLES, self.manifest()
        most = LARGEST_LINE * max(1, manifest.samples)
        packed = self._checked(SAMPLES, manifest.samples_sha256, most)
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
                lines = stream.read(most + 1)  # a small file may unpack to gigabytes
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedResult(f"{path}: cannot be unpacked ({error}); repeat the run") from error
        if len(lines) > most or lines.count(b"\n") != manifest.samples:
            raise DamagedResult(f"{path}: does not hold the {manifest.samples:,} lines of its manifest")
        return lines

    def predictions(self) -> Predictions:
        """What the run answered on the test set.

        Raises:
            DamagedResult: the file is missing, cut short, or not what the manifest was written for.
        """
        return unpack_predictions(self.folder / PREDICTIONS, self._packed_predictions())

    def shown(self) -> Shown | None:
        """The first few test items with their predictions; None for a run that keeps none.

        Raises:
            DamagedResult: see `predictions`.
        """
        if not self.manifest().predictions_sha256:
            return None
        return shown_of(self.folder / PREDICTIONS, self._packed_predictions())

    def _packed_predictions(self) -> bytes:
        digest = self.manifest().predictions_sha256
        if not digest:
            raise DamagedResult(f"{self.folder}: keeps no predictions")
        return self._checked(PREDICTIONS, digest, LARGEST_PREDICTIONS)

    def _checked(self, name: str, sha256: str, largest: int) -> bytes:
        path = self.folder / name
        try:
            content = read_file(path, largest)
        except DamagedResult as error:
            raise DamagedResult(f"{error}; repeat the run") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DamagedResult(f"{path}: truncated or changed since it was written; repeat the run")
        return content

    def records(self) -> list[dict[str, Any]]:
        """`samples`, line by line; `report.read` makes columns of large runs much faster.

        Raises:
            DamagedResult: see `samples`.
        """
        return [json.loads(line) for line in self.samples().splitlines()]

    def is_done(self) -> bool:
        """Whether manifest and samples are there, whole and marked done."""
        try:
            return self._is_done()
        except DamagedResult:
            return False

    def damage(self) -> str:
        """What is wrong with the files that `is_done` believes; empty where nothing is, or none are there."""
        if not (self.folder / MANIFEST).is_file():
            return ""
        try:
            self._is_done()
        except DamagedResult as error:
            return str(error)
        return ""

    def _is_done(self) -> bool:
        if self.manifest().status is not Status.DONE:
            return False
        self.samples()
        return True


@dataclass(frozen=True)
class Output:
    """The folder of ``--output``: one grid, its runs below."""

    folder: Path

    def claim(self, common: Mapping[str, Any]) -> None:
        """Make the folder, or check that it already belongs to this grid.

        Raises:
            UnavailableError: it cannot be written to.
            UsageError: it holds another grid; names what differs.
        """
        path = self.folder / GRID
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() and _written_first(path, stamped(common)):
                return
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".writable-"):
                pass
            present = read_stamped(path)
        except DamagedResult as error:
            raise UnavailableError(f"{error}; choose another --output") from error
        except OSError as error:
            raise UnavailableError(
                f"--output {self.folder}: not writable ({error.strerror}); choose another folder"
            ) from error
        different = [
            f"{key} is {present.get(key)!r} there and {value!r} here"
            for key, value in common.items()
            if present.get(key) != value
        ]
        if different:
            raise UsageError(
                f"--output {self.folder} holds other runs: {'; '.join(different)}. Choose another folder."
            )

    def run(self, name: str) -> RunFolder:
        """The run of that name."""
        return RunFolder(self.folder / name)

    def runs(self) -> list[RunFolder]:
        """Every run's folder, sorted by name."""
        if not self.folder.is_dir():
            return []
        return [
            RunFolder(path)
            for path in sorted(self.folder.iterdir())
            if path.is_dir() and not path.name.startswith(".")
        ]
