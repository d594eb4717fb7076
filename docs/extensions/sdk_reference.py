"""Signatures of the clients' methods: those of `sandbox.client.calls`, with what each client gives back."""

from __future__ import annotations

import inspect
import re
from typing import Any

from sphinx.application import Sphinx

_CALL = re.compile(r"^Call\[(.*)\]$")
_INTERFACE = re.compile(r"<InterfaceClass ([\w.]+)>")


def _signature(  # noqa: PLR0917 - as Sphinx calls it
    app: Sphinx, what: str, name: str, subject: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """A method that carries a call takes what the call takes, and gives what the call is of."""
    if what == "class" and signature:
        return _INTERFACE.sub(r"\1", signature), returns
    build = getattr(subject, "__wrapped__", None)
    if what != "method" or build is None:
        return None
    given = inspect.signature(build)
    found = _CALL.match(str(given.return_annotation))
    assert found is not None, name
    result = f"Deferred[{found[1]}]" if ".AsyncClient." in name else found[1]
    return str(given.replace(return_annotation=inspect.Signature.empty)).replace("'", ""), result


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx asks for it."""
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True}
