"""The tour: a session with a web application in it, by way of the API that a platform would use."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from quickstart.console import Console, Failed
from quickstart.daemon import CONFIGURATION
from quickstart.wire import SESSIONS, Answer, Call, Wire

#: In the state directory: the tour that runs, and the mark that ``--keep`` left its daemon and session.
RECORD, KEPT = "tour.json", "kept"
PORT = 3000
MESSAGE = "It runs."
#: Seconds that the application may take until it answers.
APPLICATION_TIMEOUT = 20.0


def session_id(state: Path, *, check: bool = False) -> str:
    """The tour's session, the same at each run from the same checkout, so that a run finds what a killed one left.

    :param check: for a check beside a session that is kept.
    """
    path = state / "session-id"
    try:
        name = path.read_text().strip()
    except FileNotFoundError:
        name = f"quickstart-{secrets.token_hex(3)}"
        path.write_text(f"{name}\n")
    return f"{name}-check" if check else name


def session_ids(state: Path) -> set[str]:
    """Every session that a tour from the checkout may have made."""
    return {session_id(state), session_id(state, check=True)}


class Tour:
    """One session's life.

    :ivar urls: where its preview is, the best first; known once :meth:`begin` is through.
    """

    def __init__(self, wire: Wire, session: str, console: Console) -> None:
        self.urls: list[str] = []
        self._begun = False
        self._wire = wire
        self._session = session
        self._console = console
        self._path = f"{SESSIONS}/{session}"
        self._preview = f"/previews/{session}"

    def begin(self) -> None:
        """Create the session, write the application into it, start it, register its port, fetch its page.

        :raises Failed: at the first answer that is not as it should be.
        """
        if self._wire.send(Call("GET", self._path)).status == 200:
            self._wire.expect(204, Call("DELETE", self._path))
            self._console.done(f"session {self._session}, which a run that was killed left, is removed")
        self._begun = True
        created = self._wire.expect(201, Call("POST", SESSIONS, {"id": self._session, "userId": "quickstart"}))
        _agree("the session's status", created.json["status"], "running")
        self._console.done(f"session {self._session}: container {created.json['containerId'][:12]} runs")
        program = Path(__file__).with_name("application.py").read_text()
        for path, content in (("app/server.py", program), ("app/message.txt", MESSAGE)):
            written = self._wire.expect(201, Call("POST", f"{self._path}/files", {"path": path, "content": content}))
            _agree(f"the size of {path}", written.json["size"], len(content.encode()))
        self._console.done("a web application is written into its /workspace")
        self._start()
        self._console.done(f"it listens on port {PORT} in there, registered as the session's preview")
        self._page(MESSAGE)
        self._console.done("its page comes through the preview gateway")

    def resume(self) -> None:
        """Use the session that ``--keep`` left, with the files that are in it.

        :raises Failed: at the first answer that is not as it should be.
        """
        if self._wire.send(Call("GET", self._path)).status == 404:
            self.begin()
            return
        self._wire.expect(200, Call("POST", f"{self._path}/start"))
        self._start()
        self._console.done(f"session {self._session}, which --keep left, is used as it is")

    def _start(self) -> None:
        """Have the application run, and its port registered."""
        registered = self._wire.expect(201, Call("POST", f"{self._path}/previews", {"port": PORT})).json
        _agree("the registration", (registered["port"], registered["registered"]), (PORT, True))
        if not self._wire.expect(200, Call("GET", f"{self._preview}/health")).json["healthy"]:
            self._execute(f"nohup python3 -u app/server.py {PORT} >/tmp/server.log 2>&1 &")
        self._await_application()
        own = f"{self._wire.url}{self._preview}/"
        given = [registered.get("hostUrl"), registered.get("url"), own]
        self.urls = list(dict.fromkeys(url for url in given if url and url.startswith("http")))

    def commands(self) -> list[tuple[str, str]]:
        """The first ones to try of the ``sandbox`` command, and why."""
        return [
            ("run a command in the session", f"sandbox exec {self._session} ls -l app"),
            ("change the page", f"echo 'Hello!' | sandbox cp - {self._session}:app/message.txt"),
            ("open it in a browser", f"sandbox preview open {self._session}"),
        ]

    def suggestions(self) -> list[tuple[str, Call]]:
        """What to try next, and why."""
        return [
            ("run a command", Call("POST", f"{self._path}/exec", {"command": "id -un; node --version; ls -l app"})),
            ("change the page", Call("POST", f"{self._path}/files", {"path": "app/message.txt", "content": "Hello!"})),
            ("list a directory", Call("GET", f"{self._path}/dirs?path=app")),
            ("ask after the application", Call("GET", f"{self._preview}/health")),
            ("look at the session", Call("GET", self._path)),
        ]

    def verify(self, state: Path) -> None:
        """Run the commands, make every request that is suggested, and those that must be refused; judge the answers.

        :param state: the state directory, with the command's configuration.
        :raises Failed: at the first that is wrong.
        """
        self._run_commands(state)
        execute, write, listing, health, look = (call for _, call in self.suggestions())
        result = self._wire.expect(200, execute).json
        _agree("the command's exit code", result["exitCode"], 0)
        _agree("the user it ran as", result["stdout"].split("\n")[0], "sandbox")
        _agree("output that was cut", result["truncated"], False)
        self._wire.expect(201, write)
        self._page("Hello!")
        read = self._wire.expect(200, Call("GET", f"{self._path}/files?path=app/message.txt"))
        _agree("the file as read", read.json["content"], "Hello!")
        entries = self._wire.expect(200, listing).json["entries"]
        names = [entry["name"] for entry in entries if entry["type"] == "file"]
        _agree("the directory", names, ["message.txt", "server.py"])
        found = self._wire.expect(200, Call("GET", f"{self._path}/stat?path=app")).json
        _agree("the directory's stat", (found["exists"], found["type"]), (True, "directory"))
        missing = self._wire.expect(200, Call("GET", f"{self._path}/stat?path=nothing")).json
        _agree("a missing path's stat", missing, {"exists": False})
        self._console.done("exec, files, directories and stat answer as they should")
        answered = self._wire.expect(200, health).json
        _agree("the preview's health", (answered["healthy"], answered["statusCode"]), (True, 200))
        _agree("the session's status", self._wire.expect(200, look).json["status"], "running")
        self._console.done("health and the session's status answer as they should")
        refused = self._wire.expect(403, look, authenticated=False)
        _agree("a request without the key", refused.json["message"], "Forbidden")
        moved = self._wire.expect(308, Call("GET", self._preview))
        _agree("the redirection", {k.lower(): v for k, v in moved.headers.items()}["location"], f"{self._preview}/")
        unknown = self._wire.expect(404, Call("GET", "/previews/nobody/"))
        _agree("an unknown preview", unknown.json["message"], "No preview port registered for session nobody")
        self._console.done("what must be refused is refused")

    def _run_commands(self, state: Path) -> None:
        programs = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "SANDBOX_CONFIG": str(state / CONFIGURATION),
            "BROWSER": "true",
        }
        # What stands in the environment goes before the file.
        for name in ("SANDBOX_URL", "SANDBOX_PUBLIC_URL", "SANDBOX_USER", "INTERNAL_SERVICE_KEY"):
            environment.pop(name, None)
        for _, command in self.commands():
            done = subprocess.run(
                ["sh", "-euc", command], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            if done.returncode != 0:
                raise Failed(f"{command} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
        self._page("Hello!")
        self._console.done("the three commands do what they say")

    def end(self) -> None:
        """Delete the session with its container and workspace; nothing happens when that is done."""
        if self._begun:
            self._wire.expect(204, Call("DELETE", self._path))
            self._begun = False

    def verify_end(self) -> None:
        """End it and see that nothing of it is left for the API."""
        self.end()
        gone = self._wire.expect(404, Call("GET", self._path))
        _agree("a deleted session", gone.json["message"], f"Session {self._session} not found")
        self._wire.expect(404, Call("GET", f"{self._preview}/"))
        self._console.done("the session, its container and its workspace are removed")

    def _execute(self, command: str) -> Answer:
        answer = self._wire.expect(200, Call("POST", f"{self._path}/exec", {"command": command}))
        _agree(f"the exit code of {command!r}", answer.json["exitCode"], 0)
        return answer

    def _await_application(self) -> None:
        deadline = time.monotonic() + APPLICATION_TIMEOUT
        while not (health := self._wire.expect(200, Call("GET", f"{self._preview}/health")).json)["healthy"]:
            if time.monotonic() > deadline:
                log = self._execute("tail -n 20 /tmp/server.log").json["stdout"]
                raise Failed(f"The application does not answer: {health['error']}\n{log}")
            time.sleep(0.1)

    def _page(self, headline: str) -> None:
        answer = self._wire.expect(200, Call("GET", f"{self._preview}/"))
        if f"<h1>{headline}</h1>".encode() not in answer.body:
            raise Failed(f"The preview's page is not the application's: {answer.body[:300]!r}")


def _agree(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Failed(f"{what[0].upper()}{what[1:]} is {found!r} instead of {wanted!r}")
