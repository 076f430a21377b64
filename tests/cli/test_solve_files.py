"""The file of a puzzle: any byte order mark, and nothing that hangs or fills the memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.cli.solve import read_puzzle


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_puzzle_is_read_in_the_encoding_of_its_mark(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "my puzzle.txt"
    path.write_bytes("1.2\r\n...".encode(encoding))
    assert read_puzzle(str(path)) == ("1.2\r\n...", "my puzzle")


def test_what_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "puzzle.txt"
    path.write_bytes(b"\xb0\xb1")
    with pytest.raises(TrmBenchError, match=r"puzzle\.txt: not UTF-8 text"):
        read_puzzle(str(path))
    with path.open("wb") as stream:
        stream.truncate(1 << 32)
    with pytest.raises(TrmBenchError, match=r"puzzle\.txt: has 4,294,967,296 bytes"):
        read_puzzle(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_puzzle(str(tmp_path / "pipe")) == (str(tmp_path / "pipe"), None)  # no file: taken as a puzzle
