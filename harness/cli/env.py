"""``trm-bench env``: what a bug report needs, and what decides how a run behaves on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from ..api.errors import TrmBenchError
from ..host.host import host
from .terminal import echo_json, encoding_of

VARIABLES = (
    "COLUMNS",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "FORCE_COLOR",
    "HF_HUB_OFFLINE",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "MKL_NUM_THREADS",
    "NO_COLOR",
    "OMP_NUM_THREADS",
    "PYTHONIOENCODING",
    "PYTHONUTF8",
    "TERM",
    "XDG_CACHE_HOME",
)
"""Beside all that start with `STARTS`. Named one by one, so that no secret is printed."""
FURTHER = ("click", "rich", "safetensors", "matplotlib", "huggingface-hub")
"""Libraries beside those that manifests name."""
STARTS = ("TRM_BENCH_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_")
MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@click.command("env")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    """Print versions, machine, devices, cache, plugins and settings: what a bug report needs."""
    content = gather()
    if as_json:
        echo_json(content)
    else:
        click.echo(render(content))


def gather() -> dict[str, Any]:
    """Everything, with a reason in place of what cannot be found out."""
    from ..store import provenance

    machine = provenance.environment()
    torch, devices = _torch()
    return {
        "trm-bench": provenance.code(),
        "python": {"version": machine.pop("python"), "executable": sys.executable},
        "libraries": {**machine.pop("libraries"), **{name: _version(name) for name in FURTHER}},
        "torch": torch,
        "devices": devices,
        "machine": {**machine, "usable_cores": _usable_cores(), "memory": memory()},
        "cache": cache(),
        "plugins": _plugins(),
        "terminal": _terminal(),
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name in VARIABLES or name.startswith(STARTS)
        },
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How torch was built, and what it can compute on; what is wrong where it cannot be imported."""
    try:
        import torch
    except Exception as error:  # a half-installed torch may raise anything, and that is what one reports
        return {"problem": f"{type(error).__name__}: {error}"}, []
    devices: list[dict[str, Any]] = [{"device": "cpu", "threads": torch.get_num_threads()}]
    try:
        for number in range(torch.cuda.device_count()):
            seen = torch.cuda.get_device_properties(number)
            capability = f"{seen.major}.{seen.minor}"
            devices.append(
                {
                    "device": f"cuda:{number}",
                    "name": seen.name,
                    "memory": seen.total_memory,
                    "capability": capability,
                }
            )
    except (RuntimeError, AssertionError) as error:  # a driver that does not fit
        devices.append({"device": "cuda", "problem": str(error)})
    if torch.backends.mps.is_available():
        devices.append({"device": "mps"})
    return {"version": torch.__version__, "cuda": torch.version.cuda}, devices


def _usable_cores() -> int:
    from ..running.runner import cores

    return cores()


def memory() -> dict[str, int | None]:
    """Bytes of memory in all, and how many of them a container may use; None where nobody says."""
    try:
        total: int | None = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        total = None
    limits = [int(text) for text in map(_read, MEMORY_LIMITS) if text.isdecimal()]
    below = [limit for limit in limits if total is None or limit < total]
    return {"total": total, "limit": min(below, default=None)}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def cache() -> dict[str, Any]:
    """Where puzzles are cached, and whether they can be; nothing is written to find out."""
    from ..data.prepare import CACHE_VARIABLE, cache_root

    folder = cache_root()
    there = next((one for one in (folder, *folder.absolute().parents) if one.exists()), Path("/"))
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    try:
        free: int | None = shutil.disk_usage(there).free
    except OSError:
        free = None
    chosen = CACHE_VARIABLE if os.environ.get(CACHE_VARIABLE) else None
    return {
        "folder": str(folder),
        "exists": folder.exists(),
        "writable": writable,
        "free": free,
        "set_by": chosen,
    }


def _plugins() -> dict[str, Any]:
    try:
        plugins = host()
    except TrmBenchError as error:  # strict mode
        return {"found": [], "problems": [str(error)]}
    found = [f"{plugin.label} {plugin.version}" for plugin in plugins.plugins.values()]
    return {"found": found, "problems": plugins.problems()}


def _terminal() -> dict[str, Any]:
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    return {
        "columns": shutil.get_terminal_size().columns,
        "terminals": [name for name, stream in streams.items() if stream is not None and stream.isatty()],
        "encoding": encoding_of(sys.stdout),
        "file_names": sys.getfilesystemencoding(),
    }


# --- as text -------------------------------------------------------------------------------------


def render(content: dict[str, Any]) -> str:
    """A line for each fact, its name before it."""
    lines = [*_software(content), *_hardware(content), *_settings(content)]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in lines)


def _software(content: dict[str, Any]) -> list[tuple[str, str]]:
    code, python, torch = content["trm-bench"], content["python"], content["torch"]
    commit = code.get("commit")
    changed = code.get("changed")
    state = f" at {commit[:12]}" if commit else ""
    state += f", {len(changed)} files changed" if changed else ""
    built = torch.get("problem") or f"{torch['version']}, CUDA {torch['cuda'] or 'none'}"
    others = {name: version for name, version in content["libraries"].items() if name != "torch"}
    return [
        ("trm-bench", f"{code['trm-bench'] or 'not installed'}{state}, source {code['fingerprint'][:12]}"),
        ("python", f"{python['version']} at {python['executable']}"),
        ("torch", built),
        *((name, version or "not installed") for name, version in others.items()),
    ]


def _hardware(content: dict[str, Any]) -> list[tuple[str, str]]:
    machine, cache_ = content["machine"], content["cache"]
    limit = machine["memory"]["limit"]
    lines = [
        ("system", f"{machine['system']} {machine['machine']}"),
        ("processor", f"{machine['processor']}, {machine['usable_cores']} of {machine['cores']} cores"),
        ("memory", _gib(machine["memory"]["total"]) + (f", {_gib(limit)} allowed" if limit else "")),
        *(("device", _device(one)) for one in content["devices"]),
    ]
    state = "writable" if cache_["writable"] else "NOT WRITABLE"
    made = "" if cache_["exists"] else ", not made yet"
    return [*lines, ("cache", f"{cache_['folder']}, {state}{made}, {_gib(cache_['free'])} free")]


def _device(one: dict[str, Any]) -> str:
    if "problem" in one:
        return f"{one['device']}: {one['problem']}"
    if "threads" in one:
        return f"{one['device']}, {one['threads']} threads"
    if "name" in one:
        return f"{one['device']}: {one['name']}, {_gib(one['memory'])}, capability {one['capability']}"
    return str(one["device"])


def _settings(content: dict[str, Any]) -> list[tuple[str, str]]:
    terminal, plugins = content["terminal"], content["plugins"]
    on = ", ".join(terminal["terminals"]) or "nothing"
    return [
        *(("plugin", text) for text in plugins["found"]),
        *(("problem", text) for text in plugins["problems"]),
        ("terminal", f"{on}; {terminal['columns']} columns, {terminal['encoding']}"),
        *((name, value) for name, value in content["variables"].items()),
    ]


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
