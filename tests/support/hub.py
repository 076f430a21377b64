"""A stand-in for huggingface_hub, which tests must not contact."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""The commit of the branch ``main`` and of the tag ``v1``."""


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[str, ...]]:
    """Let the hub serve the files of a folder; gives the list of its calls, which grows."""
    calls: list[tuple[str, ...]] = []

    class HfApi:
        def dataset_info(self, repository: str, *, revision: str) -> SimpleNamespace:
            calls.append(("info", repository, revision))
            if revision not in ("main", "v1"):
                raise RuntimeError("404")
            return SimpleNamespace(sha=COMMIT)

    def hf_hub_download(repository: str, name: str, *, repo_type: str, revision: str) -> str:
        calls.append((repository, name, repo_type, revision))
        return str(folder / name)

    module = SimpleNamespace(HfApi=HfApi, hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return calls


def unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every download fail."""

    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=fail))
