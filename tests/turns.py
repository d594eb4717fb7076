"""A clock whose calls come turn by turn, as a reactor's do."""

from __future__ import annotations

from twisted.internet.task import Clock


class TurningClock(Clock):
    """What a call schedules for now comes in the next turn; Twisted's own clock has it in the same one."""

    def turn(self) -> None:
        """Call what is due, and nothing that is scheduled meanwhile."""
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
