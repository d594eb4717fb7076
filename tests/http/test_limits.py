"""Every variable of the HTTP server reaches the limit that it is for, and no other."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sandbox.http.limits import Limits
from sandbox.settings import parse

KEY = {"INTERNAL_SERVICE_KEY": "k" * 32}


class Wiring(SynchronousTestCase):
    def test_limits(self) -> None:
        told = parse({
            **KEY, "HTTP_LINE_LIMIT": "2001", "HTTP_HEAD_LIMIT": "2002", "HTTP_FIELD_LIMIT": "23", "BODY_LIMIT": "2004",
            "HTTP_HEAD_TIMEOUT": "5", "HTTP_IDLE_TIMEOUT": "6", "HTTP_UPLOAD_TIMEOUT": "7",
        })  # fmt: skip
        wanted = Limits(
            line=2001, head=2002, fields=23, body=2004, head_timeout=5.0, idle_timeout=6.0, upload_timeout=7.0
        )
        self.assertEqual(Limits.of(told), wanted)
        self.assertEqual(Limits.of(parse(KEY)), Limits())
