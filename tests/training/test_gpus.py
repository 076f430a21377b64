"""Which GPUs are chosen, how a process is made to see one, and what is said of those that are not there."""

from __future__ import annotations

import multiprocessing
import os
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.gpus import FAKE, with_gpus
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.training.gpus import (
    VISIBLE,
    Gpu,
    choose_device,
    gpu_facts,
    seeing,
    torch_device,
    visible_gpus,
)

A, B, C = FAKE
THERE = "available: 0 (H100), 1 (H100), 2 (L4)"


@pytest.mark.parametrize(
    ("device", "gpus", "chosen"),
    [
        (None, None, (A, B, C)),
        ("cuda", None, (A, B, C)),
        ("auto", "0,2", (A, C)),
        ("cuda", [2, 0], (C, A)),
        ("cuda", 1, (B,)),
        ("cuda:1", None, (B,)),
        ("cuda:1", " 1 ", (B,)),
        (torch.device("cuda", 1), range(1, 2), (B,)),
    ],
)
def test_the_named_gpus_are_used_or_else_all(
    device: Any, gpus: Any, chosen: tuple[Gpu, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(monkeypatch, *FAKE)
    placement = choose_device(device, gpus)
    assert (placement.kind, placement.gpus) == ("cuda", chosen)


def test_on_another_device_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, *FAKE)
    assert choose_device("cpu").gpus == ()


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("auto", "7", f"--gpus 7: there is no GPU 7; {THERE}"),
        ("cuda:3", None, f"--device cuda:3: there is no GPU 3; {THERE}"),
        ("auto", "0,1,0", f"--gpus 0,1,0: GPU 0 is named twice; {THERE}"),
        ("auto", "-1", f"--gpus -1: write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        ("auto", "all", f"--gpus all: write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        ("auto", "", f"--gpus : write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        ("auto", [], f"--gpus : write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        ("auto", True, f"--gpus True: write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        ("auto", "1" * 5000, "write the numbers of GPUs"),
        ("cuda:", None, f"--device cuda:: write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        ("cuda:first", None, f"--device cuda:first: write the numbers of GPUs, e.g. --gpus 0,2; {THERE}"),
        (
            "cuda:1",
            "0,2",
            "--device cuda:1 and --gpus 0,2 name different GPUs; leave one of them out",
        ),
        ("cpu", "0", "--gpus 0 goes with --device cuda, not with --device cpu"),
        ("tpu", None, "--device 'tpu' is not known"),
    ],
)
def test_a_gpu_that_cannot_be_meant_is_named_with_those_that_are_there(
    device: str, gpus: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(monkeypatch, *FAKE)
    with pytest.raises((UsageError, UnavailableError), match=re.escape(message)):
        choose_device(device, gpus)


@pytest.mark.parametrize(("device", "gpus"), [("auto", "0"), ("cuda:0", None), ("cuda", None)])
def test_without_cuda_the_message_says_so(
    device: str, gpus: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(monkeypatch)
    with pytest.raises(UnavailableError, match="this machine or this build of torch"):
        choose_device(device, gpus)


def test_a_verb_that_uses_one_gpu_takes_the_first_and_refuses_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_gpus(monkeypatch, *FAKE)
    assert choose_device("cuda").single("solve") is A
    assert choose_device("cuda", "2").single("solve") is C
    assert choose_device("cpu").single("solve") is None
    with pytest.raises(UsageError, match="--gpus 2,0: solve uses one GPU; name one"):
        choose_device("cuda", "2,0").single("solve")


@pytest.mark.parametrize(
    ("visible", "uuids", "entries"),
    [
        (None, ["a", "b"], ["GPU-a", "GPU-b"]),
        (None, [None, None], ["0", "1"]),
        ("", [None, None], ["0", "1"]),
        ("3, 1", ["a", "b"], ["GPU-a", "GPU-b"]),
        ("3, 1", [None, None], ["3", "1"]),
        ("MIG-x,MIG-y", ["a", "a"], ["MIG-x", "MIG-y"]),
        ("GPU-b,GPU-a", [None, None], ["GPU-b", "GPU-a"]),
        ("5", ["a"], [None]),
        (None, ["a"], [None]),
    ],
)
def test_an_entry_shows_one_of_the_gpus_that_this_process_sees(
    visible: str | None,
    uuids: list[str | None],
    entries: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    known = [SimpleNamespace(name="H100", uuid=uuid) for uuid in uuids]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(known))
    monkeypatch.setattr("torch.cuda.get_device_properties", known.__getitem__)
    assert [gpu.entry for gpu in visible_gpus()] == entries


@pytest.mark.parametrize("before", [None, "4,5"])
def test_a_process_sees_its_gpu_and_its_parent_what_it_saw(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VISIBLE, before)
    with seeing(B), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert os.environ.get(VISIBLE) == B.entry
        assert pool.apply(os.getenv, (VISIBLE,)) == B.entry
    assert os.environ.get(VISIBLE) == before
    for leaves in (None, Gpu(0, "the only one")):
        with seeing(leaves):
            assert os.environ.get(VISIBLE) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_this_machine_a_process_sees_the_gpu_that_is_meant() -> None:
    for gpu in visible_gpus():
        meant = replace(gpu, entry=gpu.entry or gpu.uuid)
        with seeing(meant), multiprocessing.get_context("spawn").Pool(1) as pool:
            (there,) = pool.apply(visible_gpus)
        assert (there.index, there.name, there.uuid) == (0, gpu.name, gpu.uuid)


def test_in_this_process_a_gpu_has_its_number() -> None:
    assert torch_device("cuda", B) == torch.device("cuda", 1)
    assert torch_device("cpu") == torch.device("cpu")


def test_a_manifest_names_the_gpu_and_its_uuid() -> None:
    facts = gpu_facts(C)
    assert (facts["name"], facts["uuid"]) == ("L4", "GPU-00000002")
    assert facts.keys() == {"name", "uuid", "driver", "cuda"}
