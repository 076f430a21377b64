"""Tables of a data set on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from ..harness.api.errors import UnavailableError, UsageError
from ..harness.api.specs import BuildRequest
from .tabular_files import Tables

GENERATED = "; for generated puzzles, whose scores do not compare with published ones: --source generated"


def revision_of(request: BuildRequest, task: str) -> str | None:
    """The option ``revision`` of a request, None where it is not given.

    Raises:
        UsageError: if it is given for another source than the hub.
    """
    revision = request.options.get("revision")
    if revision is not None and request.source != "hub":
        raise UsageError(f"{task}: 'revision' goes with the source 'hub', not with {request.source!r}")
    return revision


def fetch_tables(repository: str, revision: str) -> tuple[Tables, str, tuple[str, ...]]:
    """``train.csv`` and ``test.csv`` of a Hugging Face data set, their commit, and what to say about that.

    A branch or tag is resolved first, so that both files come from the one commit that is named; a caveat
    then says that it was not pinned.

    Raises:
        UnavailableError: if the package is not installed or the hub does not deliver.
    """
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise UnavailableError(
            f"the source 'hub' needs the package huggingface_hub: pip install 'trm-bench[hub]'; or fetch "
            f"train.csv and test.csv of {repository} by hand and pass their folder with --data DIR{GENERATED}"
        ) from error
    try:
        commit = revision
        if not re.fullmatch("[0-9a-f]{40}", revision):
            commit = str(hub.HfApi().dataset_info(repository, revision=revision).sha)
        train, test = (
            Path(hub.hf_hub_download(repository, name, repo_type="dataset", revision=commit))
            for name in ("train.csv", "test.csv")
        )
    except Exception as error:  # the hub's errors share no base class
        raise UnavailableError(
            f"could not fetch {repository} at revision {revision!r} from the Hugging Face hub: "
            f"{type(error).__name__}: {error}; check the network and the revision, or put its train.csv and "
            f"test.csv in a folder and pass it with --data DIR{GENERATED}"
        ) from error
    unpinned = f"the revision was not pinned: {revision!r} was {commit}; repeat with revision={commit}"
    return Tables((train,), (test,)), commit, () if revision == commit else (unpinned,)
