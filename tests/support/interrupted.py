"""A training that is interrupted; the process that carries it out imports it from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

import gpu_day
from portions import Cases, Result


def stopped_once(folder: Path, done: Mapping[str, Result]) -> Cases:
    """The training of the program; its first portion is interrupted once a step is done."""
    if not done:
        Thread(target=interrupt_after, args=(folder,), daemon=True).start()
    return gpu_day.train(gpu_day.Options(folder, "cpu", 5, True), done)


def interrupt_after(folder: Path) -> None:
    while not list(folder.glob("train/*/metrics.jsonl")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
