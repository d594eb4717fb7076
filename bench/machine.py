"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def facts(node: Mapping[str, Path]) -> dict[str, str]:
    """The machine, its load before the run, and the versions of all that takes part.

    :param node: the nodes that run peers, by name.
    """
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{os.cpu_count()} x {names[0] if names else platform.machine()}",
        "memory": f"{memory} GiB",
        "kernel": platform.release(),
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "python": platform.python_version(),
        "twisted": version("twisted"),
        "nginx": _said(["nginx", "-v"], r"nginx/(\S+)"),
        "haproxy": _said(["haproxy", "-v"], r"version (\S+)"),
        "docker engine": _said(["docker", "version", "--format", "{{.Server.Version}}"], r"(\S+)"),
    }
    found.update({name: _said([str(path), "--version"], r"v(\S+)") for name, path in node.items()})
    return found


def _commit() -> str:
    if shutil.which("git") is None or not (_ROOT / ".git").exists():
        return "not a git checkout"
    commit = _said(["git", "-C", str(_ROOT), "rev-parse", "--short", "HEAD"], r"(\S+)")
    changed = _said(["git", "-C", str(_ROOT), "status", "--porcelain", "sandbox"], r"(\S+)")
    return commit if changed == "unknown" else f"{commit}, with changes"


def _said(command: Sequence[str], pattern: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "not installed"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"
