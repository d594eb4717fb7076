"""Build the agent for every architecture, or check that the committed binaries are what the sources give.

    pip install ziglang==0.17.1
    python sandbox/runtimes/docker/agent/build.py            # writes bin/
    python sandbox/runtimes/docker/agent/build.py --check    # rebuilds and compares byte for byte

The compiler is pinned and nothing of the machine gets into the result, so that anybody can reproduce it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

COMPILER = "0.17.1"
TARGETS = ("x86_64", "aarch64")
FLAGS = (
    *(
        "-std=c11",
        "-D_GNU_SOURCE",
        "-Os",
        "-s",
        "-static",
        "-ffunction-sections",
        "-fdata-sections",
        "-Wl,--gc-sections",
    ),
    *("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror"),
)

HERE = Path(__file__).resolve().parent


def build(target: str, output: Path) -> None:
    """Compile the sources beside this file into one static program."""
    sources = sorted(path.name for path in HERE.glob("*.c"))
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-linux-musl"]
    # Relative names and this working directory: no path of the machine in the program.
    subprocess.run([*command, *FLAGS, "-o", str(output), *sources], cwd=HERE, check=True)  # noqa: S603


def main(arguments: list[str]) -> int:
    """Build into ``bin/``; with ``--check``, build elsewhere and compare. The exit code."""
    if version("ziglang") != COMPILER:
        print(f"needs ziglang {COMPILER}, found {version('ziglang')}", file=sys.stderr)  # noqa: T201
        return 2
    differing = []
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        for target in TARGETS:
            built = Path(temporary) / f"agent-{target}"
            build(target, built)
            program = built.read_bytes()
            lines.append(f"{hashlib.sha256(program).hexdigest()}  {built.name}\n")
            committed = HERE / "bin" / built.name
            if "--check" not in arguments:
                committed.write_bytes(program)
            elif not committed.exists() or committed.read_bytes() != program:
                differing.append(built.name)
    sums = HERE / "bin" / "SHA256SUMS"
    if "--check" not in arguments:
        sums.write_text("".join(lines))
    elif sums.read_text() != "".join(lines):
        differing.append(sums.name)
    for name in differing:
        print(f"bin/{name} is not what the sources give: run build.py", file=sys.stderr)  # noqa: T201
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
