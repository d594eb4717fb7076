"""What twistd loads for ``twistd sandbox``: first the reactor, since much of what the parts import brings one along."""

from __future__ import annotations

from sandbox.net.reactor import install

install()

from sandbox.options import Options  # noqa: E402
from sandbox.service.make_service import makeService  # noqa: E402

__all__ = ["Options", "makeService"]
