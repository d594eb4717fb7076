"""``python -m sandbox.api`` prints the API's description; with ``html`` its page. No daemon has to run."""

from __future__ import annotations

import json
import sys

from sandbox.api.internal.api import description
from sandbox.api.internal.page import page


def main(arguments: list[str]) -> int:
    """Print what is asked for; the exit status."""
    if arguments not in ([], ["json"], ["html"]):
        sys.stderr.write("usage: python -m sandbox.api [json|html]\n")
        return 2
    if arguments == ["html"]:
        sys.stdout.buffer.write(page())
    else:
        sys.stdout.write(json.dumps(description(), indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
