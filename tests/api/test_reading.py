"""Users' files: any byte order mark, and nothing that hangs or fills the memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from trm_bench.harness.api.reading import (
    YAML_BYTES,
    decoded,
    load_yaml,
    parse_yaml,
    printable,
    read_bytes,
    read_text,
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_is_read_in_the_encoding_of_its_mark(encoding: str, tmp_path: Path) -> None:
    text = "a: 1  # über, 数独\n"
    (tmp_path / "file.yaml").write_bytes(text.encode(encoding))
    assert read_text(tmp_path / "file.yaml") == text
    assert load_yaml(tmp_path / "file.yaml") == {"a": 1}


@pytest.mark.parametrize("order", ["le", "be"])
def test_both_byte_orders_are_read(order: str) -> None:
    for bits in (16, 32):
        assert decoded(("\ufeff" + "12").encode(f"utf-{bits}-{order}")) == "12"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        decoded(b"\xb0\x00\x01")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_devices_and_folders_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(OSError, match="is a pipe or device, not a file"):
            read_bytes(path)
    with pytest.raises(OSError, match="is a folder, not a file"):
        read_bytes(tmp_path)


def test_links_are_followed_and_large_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="has 5 bytes; at most 4 are read"):
        read_bytes(tmp_path / "link", 4)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases expand to more than 100,000 values"),
        ("a: &x [*x]", "an alias that holds itself"),
        ("[" * 5000, "nested too deeply"),
        ("{a: " * 3000, "nested too deeply"),
        ("a: 2024-99-99", "month must be in 1..12"),
        ("a: " + "1" * 6000, "limit"),
        ("a: \x00", "not allowed"),
        ("a: [1", "expected"),
        ("a: 1\nb: 2\na: 1", "'a' is there twice, again in line 3"),
        ("a: {b: 1, c: 2, b: 3}", "'b' is there twice"),
    ],
)
def test_yaml_that_cannot_be_read_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_a_few_aliases_are_read(tmp_path: Path) -> None:
    text = "a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n"
    assert parse_yaml(text) == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}
    assert parse_yaml("") is None
    (tmp_path / "large.yaml").write_text("#" * (YAML_BYTES + 1))
    with pytest.raises(OSError, match="at most 1,048,576 are read"):
        load_yaml(tmp_path / "large.yaml")


def test_a_name_of_any_bytes_can_be_printed() -> None:
    assert printable(Path(os.fsdecode(b"folder/tr\xe9 train.csv"))) == "tr\\xe9 train.csv"
    assert printable(Path("täglich.csv")) == "täglich.csv"


@pytest.mark.parametrize(
    ("written", "read"), [("010", "010"), ("1:30", "1:30"), ("10", 10), ("1e-3", "1e-3")]
)
def test_no_number_is_read_in_another_base(written: str, read: object) -> None:
    assert parse_yaml(f"a: {written}") == {"a": read}


def test_what_is_merged_may_be_overridden() -> None:
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}")["b"] == {"x": 3, "y": 2}
