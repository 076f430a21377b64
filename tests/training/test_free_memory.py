"""What is free: of the machine, and within the limits of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trm_bench.harness.training.free_memory import free_memory, free_ram

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def machine(root: Path, membership: str = "0::/\n") -> tuple[Path, Path]:
    """Folders that stand for /proc and /sys/fs/cgroup."""
    proc, groups = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self" / "cgroup").write_text(membership)
    return proc, groups


def limit(group: Path, most: str, used: int, cached: int, names: tuple[str, str, str] = V2) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / names[0]).write_text(f"{most}\n")
    (group / names[1]).write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


def test_without_limits_it_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    assert free_ram(*machine(tmp_path)) == 8_000_000 * 1024


def test_the_tightest_group_around_the_process_counts_and_its_file_cache_is_free(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, "0::/job/step\n")
    limit(groups / "job" / "step", "max", 10, 0)
    limit(groups / "job", "4000000000", 1_500_000_000, 500_000_000)
    limit(groups, "6000000000", 0, 0)
    assert free_ram(proc, groups) == 3_000_000_000


def test_groups_of_version_1_are_read_too(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, "12:cpuset:/\n4:memory:/docker/abc\n")
    limit(
        groups / "memory", "2000000000", 700_000_000, 100_000_000, V1
    )  # a container sees its own as the root
    assert free_ram(proc, groups) == 1_400_000_000


def test_a_group_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path)
    limit(groups, "1000", 2000, 0)
    assert free_ram(proc, groups) == 0


def test_where_nothing_is_known_there_is_no_number(tmp_path: Path) -> None:
    assert free_ram(tmp_path, tmp_path) is None
    assert free_memory(torch.device("mps")) is None
    assert free_memory(torch.device("cpu")) == free_ram()


def test_on_cuda_what_torch_has_cached_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (7_000, 80_000))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 500)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: 200)
    assert free_memory(torch.device("cuda")) == 7_300
