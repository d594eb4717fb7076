"""The session image that users get, Debian with GNU's tools, for tests that run in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from quickstart.console import Console
from quickstart.image import DEFAULT_IMAGE, SessionImage

from tests.engine import ENGINE_URL, exclusive


def ensure_session_image() -> str:
    """Have the engine know the image, made by its recipe where it is missing or old; its name."""
    with exclusive("session"), tempfile.TemporaryDirectory(prefix="sandbox-image-") as scratch:
        SessionImage(ENGINE_URL, DEFAULT_IMAGE, Console(), dict(os.environ), Path(scratch)).ensure()
    return DEFAULT_IMAGE
