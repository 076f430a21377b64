"""Results on disk: one folder per run, written atomically, read back with every fault named."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

from pydantic import ValidationError

from ..api.errors import TrmBenchError, UnavailableError, UsageError
from .records import SCHEMA_VERSION, Manifest, Predicted, Record, Status

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST, SAMPLES, METRICS, WEIGHTS = (
    "manifest.json",
    "samples.jsonl.gz",
    "metrics.jsonl",
    "model.safetensors",
)
FILES = (MANIFEST, SAMPLES, METRICS, WEIGHTS)
"""In the order in which they are taken away: without its manifest the rest counts as not done."""
PREDICTIONS = "predictions.json"
CHECKPOINT = "checkpoint.pt"
"""In a run's folder while it is trained; deleted when the run is done."""
GRID = "grid.json"
"""In an output folder: what all of its runs have in common."""
LOCK = ".lock"
"""In an output folder; held by the process that writes to it."""


class DamagedResult(TrmBenchError):
    """A file of a result folder cannot be read; the run counts as not done."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a scratch file; what is written to it takes the place of ``path``, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    scratch = Path(name)
    try:
        os.close(handle)
        yield scratch
        with scratch.open("rb") as stream:
            os.fsync(stream.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


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


class RunFolder:
    """The folder of one run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = folder.name

    def start(self, manifest: Manifest, fresh: bool = True) -> None:
        """Make the folder from scratch; a finished result in it is set aside until the new one is there.

        Unless ``fresh``, a checkpoint and the metrics until then are kept for the run to continue from.
        """
        self.restore()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.is_done():
            self._aside.mkdir()
            _move(self.folder, self._aside, self._names(self.folder))
        kept = () if fresh or not self.checkpoint.is_file() else (CHECKPOINT, METRICS)
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in kept:
                path.unlink()
        self.write_manifest(manifest)

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

    def restore(self) -> bool:
        """Put a finished result back that was set aside for an attempt that came to nothing."""
        if not self._aside.is_dir():
            return False
        if self.is_done():  # killed just before the new result could drop the old one
            shutil.rmtree(self._aside)
            return False
        _move(self._aside, self.folder, self._names(self._aside)[::-1])
        shutil.rmtree(self._aside)
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
        if not name or name in FILES or Path(name).name != name or name.startswith("."):
            raise ValueError(f"a run cannot have an extra file called {name!r}")
        write_atomically(self.folder / name, content)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write or replace `manifest.json`."""
        write_atomically(self.folder / MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")

    def cut_log(self, lines: int) -> None:
        """Drop what was logged after a checkpoint that the run goes back to."""
        path = self.folder / METRICS
        kept = path.read_bytes().splitlines(keepends=True)[:lines] if path.is_file() else []
        write_atomically(path, b"".join(kept))

    def log(self, metrics: Mapping[str, float]) -> None:
        """Append a line to `metrics.jsonl`."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(metrics) + "\n")

    def finish(self, manifest: Manifest, records: Sequence[Record]) -> None:
        """Write the samples, and last of all the manifest that says done."""
        samples = pack_records(records)
        write_atomically(self.folder / SAMPLES, samples)
        digest = hashlib.sha256(samples).hexdigest()
        self.write_manifest(
            manifest.model_copy(
                update={"status": Status.DONE, "samples": len(records), "samples_sha256": digest}
            )
        )
        self.checkpoint.unlink(missing_ok=True)
        shutil.rmtree(self._aside, ignore_errors=True)

    def manifest(self) -> Manifest:
        """Read `manifest.json`.

        Raises:
            DamagedResult: it is missing, cut short, or of another schema version.
        """
        path = self.folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DamagedResult(f"{path}: cannot be read ({error}); repeat the run") from error
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise DamagedResult(f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}")
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
        return gzip.decompress(self._packed_samples())

    def predictions(self) -> Predicted | None:
        """The kept predictions; None where there are none that can be read."""
        try:
            return Predicted.model_validate_json((self.folder / PREDICTIONS).read_bytes())
        except (OSError, ValueError):
            return None

    def _packed_samples(self) -> bytes:
        path = self.folder / SAMPLES
        manifest = self.manifest()
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise DamagedResult(f"{path}: cannot be read ({error}); repeat the run") from error
        if hashlib.sha256(packed).hexdigest() != manifest.samples_sha256:
            raise DamagedResult(f"{path}: truncated or changed since it was written; repeat the run")
        return packed

    def records(self) -> list[dict[str, Any]]:
        """`samples`, line by line; `report.read` makes columns of large runs much faster.

        Raises:
            DamagedResult: see `samples`.
        """
        return [json.loads(line) for line in self.samples().splitlines()]

    def is_done(self) -> bool:
        """Whether manifest and samples are there, whole and marked done."""
        try:
            if self.manifest().status is not Status.DONE:
                return False
            self._packed_samples()
        except DamagedResult:
            return False
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
            if not path.exists():
                write_atomically(path, json.dumps(common, indent=1).encode() + b"\n")
                return
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".writable-"):
                pass
            present = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UnavailableError(f"{path}: cannot be read ({error}); choose another --output") from error
        except OSError as error:
            raise UnavailableError(
                f"--output {self.folder}: not writable ({error.strerror}); choose another folder"
            ) from error
        if not isinstance(present, dict):
            raise UnavailableError(f"{path}: holds no grid; choose another --output")
        different = [
            f"{key} is {present.get(key)!r} there and {value!r} here"
            for key, value in common.items()
            if present.get(key) != value
        ]
        if different:
            raise UsageError(
                f"--output {self.folder} holds other runs: {'; '.join(different)}. Choose another folder."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder while this one writes to it.

        Raises:
            UsageError: another process is writing to it.
        """
        if fcntl is None:
            yield
            return
        with (self.folder / LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another process is writing to {self.folder}; wait, or choose another folder"
                ) from None
            yield

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
