"""The memory that is free on a device for this process."""

from __future__ import annotations

from pathlib import Path

import torch

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of control groups, version 2 and 1: files of limit and use, and the part of the use that is given back."""


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process can still allocate on a device; None where that is not known (as on macOS)."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return free_ram() if device.type == "cpu" else None


def free_ram(proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Bytes of main memory that Linux, and the limits of this process's control groups, still grant."""
    available = _entry(proc / "meminfo", "MemAvailable:")
    if available is None:
        return None
    limits = [_left(folder) for folder in _groups(proc / "self" / "cgroup", groups)]
    return max(0, min([1024 * available, *(left for left in limits if left is not None)]))


def _groups(membership: Path, groups: Path) -> list[Path]:
    """The folders of this process's control groups and of all groups around them."""
    folders = []
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = groups / controllers
            inner = root / path.lstrip("/")
            folders += [inner, *(parent for parent in inner.parents if parent.is_relative_to(root))]
    return folders


def _left(group: Path) -> int | None:
    """What a control group still grants; None without a limit."""
    for limit_file, use_file, reclaimable in _LIMITS:
        limit, use = (_text(group / name).strip() for name in (limit_file, use_file))
        if limit.isdecimal() and use.isdecimal():
            return int(limit) - int(use) + (_entry(group / "memory.stat", reclaimable) or 0)
    return None


def _entry(file: Path, name: str) -> int | None:
    """The number next to a name in a file of lines ``name number``."""
    rows = (line.split() for line in _text(file).splitlines())
    return next((int(row[1]) for row in rows if row and row[0] == name), None)


def _text(file: Path) -> str:
    """A file's content; empty where there is none."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
