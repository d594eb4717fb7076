"""Signatures of the SDK's classes: interfaces by their names."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_INTERFACE = re.compile(r"<InterfaceClass ([\w.]+)>")


def _signature(  # noqa: PLR0917 - as Sphinx calls it
    app: Sphinx, what: str, name: str, subject: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """The client's agent is an interface of zope's, which has no name that Python's annotations show."""
    if what == "class" and signature:
        return _INTERFACE.sub(r"\1", signature), returns
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx asks for it."""
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True}
