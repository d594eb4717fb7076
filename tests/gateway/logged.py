"""What is logged as an error while something runs that must log none."""

from __future__ import annotations

from typing import Any

from twisted.logger import globalLogPublisher


class LoggedErrors(list[str]):
    """The errors since it was made, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        globalLogPublisher.addObserver(self._note)

    def close(self) -> None:
        """Listen no more."""
        globalLogPublisher.removeObserver(self._note)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("isError") or event.get("log_failure") is not None:
            self.append(str(event.get("log_failure") or event.get("log_format")))
