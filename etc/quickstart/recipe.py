"""Which session image the tour uses, and by which recipe it is made."""

from __future__ import annotations

import hashlib
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "image"
DEFAULT_IMAGE = "sandbox-session:latest"
#: The label that tells which recipe an image was made by; a changed recipe makes a new image.
RECIPE_LABEL = "sandbox.image.recipe"


def recipe_version(folder: Path = RECIPE) -> str:
    """A digest of the recipe's files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
