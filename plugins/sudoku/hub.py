"""Fetch Sudoku-Extreme from the Hugging Face hub; needs the extra ``trm-bench[hub]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...harness.errors import EnvironmentError_

DATASET = "sapientinc/sudoku-extreme"
UNPINNED = "main"


@dataclass(frozen=True)
class Fetched:
    """Files in the hub's cache, and the commit they belong to."""

    train: Path
    test: Path
    commit: str


def fetch(revision: str) -> Fetched:
    """Download ``train.csv`` and ``test.csv`` at ``revision``, once it is resolved to a commit.

    Raises:
        EnvironmentError_: the package is missing, or the hub did not answer with the files.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise EnvironmentError_(
            "--source hub needs the package huggingface_hub: pip install 'trm-bench[hub]'"
        ) from error
    try:
        commit = str(HfApi().dataset_info(DATASET, revision=revision).sha)
        train, test = (
            Path(hf_hub_download(DATASET, name, repo_type="dataset", revision=commit))
            for name in ("train.csv", "test.csv")
        )
    # The hub's errors have changed their base class between its releases (requests, httpx, OSError).
    except Exception as error:
        raise EnvironmentError_(
            f"cannot fetch {DATASET} at revision {revision!r} from the hub: {error}; "
            "check the network and the revision, or put the files in a folder and use --data"
        ) from error
    return Fetched(train, test, commit)
