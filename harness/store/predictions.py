"""`predictions.npz`: what a run answered on the test set, compactly, for evaluators that are added later."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..api.predictions import KEPT_ANSWERS, Predictions
from ..api.puzzles import PuzzleSet, TaskInfo, Tokens
from .checked import DamagedResult

SHOWN = 4
"""Test items whose puzzle and solution are kept too, for figures."""
LARGEST = 8 << 30
"""Bytes of unpacked arrays beyond which a file is not believed."""


@dataclass(frozen=True)
class Shown:
    """The first few test items and the predictions for them.

    Attributes:
        items: (K,) names.
        inputs, targets, predictions: (K, L) token codes, row by row.
        shape: height and width.
        symbols: characters for the token codes; empty for the codes themselves.
    """

    items: list[str]
    inputs: list[list[int]]
    targets: list[list[int]]
    predictions: list[list[int]]
    shape: tuple[int, int]
    symbols: list[str]


def pack_predictions(
    predictions: Predictions, info: TaskInfo, symbols: Sequence[str], test: PuzzleSet
) -> bytes:
    """The content of `predictions.npz`; the same predictions give the same bytes."""
    first = slice(0, SHOWN)
    arrays: dict[str, Any] = {
        "tokens": _small(predictions.tokens),
        "steps": np.int64(predictions.steps),
        "halt_steps": _small(predictions.halt_steps),
        "halt_probability": predictions.halt_probability,
        "halted": np.bool_(predictions.halted),
        "items": test.ids[first].astype(np.str_),
        "inputs": _small(test.inputs[first]),
        "targets": _small(test.targets[first]),
        "predicted": _small(predictions.tokens[first]),
        "shape": np.array([info.height, info.width]),
        "symbols": np.array(list(symbols), np.str_),
    }
    if predictions.ballots is not None:
        arrays["best"] = _small(predictions.best(KEPT_ANSWERS))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _small(values: np.ndarray) -> np.ndarray:
    """In 8 bits where the values fit, else in 16 or 32."""
    most = int(values.max(initial=0))
    return values.astype(np.uint8 if most < 1 << 8 else np.uint16 if most < 1 << 16 else np.int32)


def unpack_predictions(path: Path, content: bytes) -> Predictions:
    """The predictions of a run; of votes the best answers alone.

    Raises:
        DamagedResult: ``content`` is no such file.
    """
    arrays = _arrays(path, content)
    try:
        kept: Tokens | None = arrays["best"].astype(np.uint8) if "best" in arrays else None
        return Predictions(
            tokens=arrays["tokens"],
            steps=int(arrays["steps"]),
            halt_steps=arrays["halt_steps"].astype(np.int64),
            halt_probability=arrays["halt_probability"].astype(np.float64),
            halted=bool(arrays["halted"]),
            kept=kept,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedResult(f"{path}: holds no predictions ({error}); repeat the run") from error


def shown_of(path: Path, content: bytes) -> Shown:
    """The first few items.

    Raises:
        DamagedResult: ``content`` is no such file.
    """
    arrays = _arrays(path, content, ("items", "inputs", "targets", "predicted", "shape", "symbols"))
    try:
        height, width = arrays["shape"].tolist()
        items, inputs, targets, predicted = (
            arrays[name].tolist() for name in ("items", "inputs", "targets", "predicted")
        )
        return Shown(items, inputs, targets, predicted, (height, width), arrays["symbols"].tolist())
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedResult(f"{path}: holds no predictions ({error}); repeat the run") from error


def _arrays(path: Path, content: bytes, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(one.file_size for one in archive.infolist()) > LARGEST:
                raise DamagedResult(f"{path}: unpacks to more than {LARGEST >> 30} GiB; not read")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files if names is None or name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedResult(f"{path}: cannot be read ({error}); repeat the run") from error
