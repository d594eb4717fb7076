"""Settings: every variable declared once, parsed once, then frozen. Pure: the environment is passed in."""

from __future__ import annotations

import ipaddress
import math
import os.path
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm


class SettingError(ValueError):
    """A variable that is missing or does not parse; the message is one line that names it and what it accepts."""


REQUIRED: Any = object()
#: Bytes that a secret of HS256 should have (RFC 7518 section 3.2).
STRONG = 32
_METADATA = "sandbox.setting"


@attrs.frozen
class Variable:
    """One environment variable.

    :ivar parse: text to value; raises ``ValueError`` on anything else.
    :ivar accepts: what it accepts, in a few words, for the error and the help.
    :ivar default: the text that stands for it when it is unset, or ``REQUIRED``, or ``None`` (unset).
    """

    name: str
    parse: Callable[[str], Any]
    accepts: str
    default: str | None
    help: str
    secret: bool = False


def _variable(name: str, kind: tuple[Callable[[str], Any], str], default: Any, help: str, secret: bool = False) -> Any:
    parse, accepts = kind
    return attrs.field(metadata={_METADATA: Variable(name, parse, accepts, default, help, secret)})


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError
    return value


def _flag(value: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if value.strip().lower() not in known:
        raise ValueError
    return known[value.strip().lower()]


def _whole(low: int, high: int) -> tuple[Callable[[str], int], str]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise ValueError
        return int(value)

    return parse, f"an integer from {low} to {high}"


def _number(low: float, high: float) -> tuple[Callable[[str], float], str]:
    def parse(value: str) -> float:
        number = float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError
        return number

    return parse, f"a number from {low:g} to {high:g}"


def _choice(*names: str) -> tuple[Callable[[str], str], str]:
    def parse(value: str) -> str:
        if value not in names:
            raise ValueError
        return value

    return parse, "one of " + ", ".join(names)


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _address(value: str) -> str:
    return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else value))


def _peers(value: str) -> tuple[str, ...]:
    words = _words(value)
    for word in words:
        if word != "unix":
            ipaddress.ip_network(word, strict=False)
    return words


def _database(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if scheme == "sqlite":
        # A query or :memory: would be taken for a file of that name.
        wrong = not rest.startswith("/") or rest == "/" or "?" in rest or rest.endswith((":memory:", "/"))
    else:
        wrong = scheme not in {"postgresql", "postgres"} or not mark
    if wrong:
        raise ValueError
    return value


def split_secrets(value: str) -> tuple[bytes, ...]:
    """The secrets that ``JWT_SECRET`` names, newest first. One is taken exactly as it is.

    >>> split_secrets("one")
    (b'one',)
    >>> split_secrets("n" * 32 + ", " + "o" * 32) == (b"n" * 32, b"o" * 32)
    True
    """
    parts = value.split(",")
    return tuple((part.strip() if len(parts) > 1 else part).encode("utf-8", "surrogateescape") for part in parts)


def _jwt_secret(value: str) -> str:
    secrets = split_secrets(_text(value))
    # A comma within one strong secret must not make two weak ones of it.
    if len(secrets) > 1 and any(len(secret) < STRONG for secret in secrets):
        raise ValueError
    for secret in secrets:
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
        except InvalidKeyError:
            raise ValueError from None
    return value


def _engine(value: str) -> str:
    if not value.startswith(("unix:///", "tcp://")):
        raise ValueError
    return value


def _network(value: str) -> str:
    # Docker's other modes, host and container:ID, would put sessions on a network that is not theirs.
    if value in ("host", "default") or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError
    return value


def _domain(value: str) -> str:
    # 110 bytes leave room in DNS's 253 for the longest name in front (sandbox.policy.hostnames).
    label = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
    if len(value) > 110 or not re.fullmatch(rf"{label}(\.{label})*", value.lower()):
        raise ValueError
    return value.lower()


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?", value):
        raise ValueError
    return value.rstrip("/")


def _command(value: str) -> tuple[str, ...]:
    return tuple(shlex.split(value))


def _label(value: str) -> str:
    if not value or not all(c.isascii() and (c.isalnum() or c in "._-/") for c in value):
        raise ValueError
    return value


TEXT = (_text, "a text that is not empty")
FLAG = (_flag, "true or false")
SECONDS = _number(0, 86_400)


@attrs.frozen(kw_only=True)
class Settings:
    """What the daemon was told. Contract section 1 fixes the first eight; the rest are limits and timeouts."""

    internal_service_key: str = _variable(
        "INTERNAL_SERVICE_KEY",
        TEXT,
        REQUIRED,
        "Shared secret of the internal API; the daemon does not start without it.",
        True,
    )
    port: int = _variable("PORT", _whole(0, 65535), "4002", "The TCP port to listen on.")
    host: str = _variable(
        "HOST",
        (_address, "an IPv4 or IPv6 address or localhost"),
        "127.0.0.1",
        "The address to listen on; 0.0.0.0 or :: opens it to the network.",
    )
    internal_listen: str | None = _variable(
        "INTERNAL_LISTEN",
        TEXT,
        None,
        "A Twisted endpoint of its own for the internal API; the other listener then serves previews only.",
    )
    docker_host: str = _variable(
        "DOCKER_HOST", (_engine, "unix:///PATH or tcp://HOST:PORT"), "unix:///var/run/docker.sock", "The Docker engine."
    )
    database_url: str | None = _variable(
        "DATABASE_URL",
        (_database, "sqlite:///PATH or postgresql://USER@HOST/NAME"),
        None,
        "Where sessions are kept; unset: sandbox.db (SQLite) in the state directory.",
        True,
    )
    database_pool: int = _variable(
        "DATABASE_POOL", _whole(1, 64), "4", "Connections to the database at once (SQLite: threads)."
    )
    database_queue: int = _variable(
        "DATABASE_QUEUE", _whole(1, 100_000), "512", "Database calls that may wait for a connection; beyond it 503."
    )
    database_timeout: float = _variable(
        "DATABASE_TIMEOUT",
        _number(0.1, 600),
        "5",
        "Seconds that one database call may take, waiting and connecting included; beyond it 503.",
    )
    sessions_read_only: bool = _variable(
        "SESSIONS_READ_ONLY",
        FLAG,
        "false",
        "Read ownership from a platform's own sessions(id, user_id) table (postgresql:// only) and write nothing.",
    )
    enable_preview_access_control: bool = _variable(
        "ENABLE_PREVIEW_ACCESS_CONTROL", FLAG, "false", "Ask for a JWT of the session's owner on /previews/."
    )
    jwt_secret: str | None = _variable(
        "JWT_SECRET",
        (
            _jwt_secret,
            "a text that is not empty, or several of at least 32 bytes each, separated by commas; no public key",
        ),
        None,
        "HS256 secret, the same as the platform's gateway, or the newest and older ones while it changes; needed when "
        "access control is on.",
        True,
    )
    jwt_leeway: float = _variable(
        "JWT_LEEWAY", _number(0, 600), "0", "Seconds by which the platform's clock may differ from this machine's."
    )
    access_cache_seconds: float = _variable(
        "ACCESS_CACHE_SECONDS",
        _number(0.1, 3600),
        "30",
        "Seconds that a session's owner is remembered; also how long access goes on while the database is away.",
    )
    access_negative_cache_seconds: float = _variable(
        "ACCESS_NEGATIVE_CACHE_SECONDS",
        _number(0.1, 3600),
        "2",
        "Seconds that it is remembered that there is no such session.",
    )
    preview_cookie_seconds: int = _variable(
        "PREVIEW_COOKIE_SECONDS",
        _whole(10, 86_400),
        "1800",
        "Seconds that the cookie of an opened preview link lasts; used, it is renewed up to the link's end.",
    )
    preview_path_form: bool = _variable(
        "PREVIEW_PATH_FORM",
        FLAG,
        "on",
        "Serve previews under /previews/ID/ too, where all of them share one origin; off leaves only preview hosts.",
    )
    state_directory: str = _variable(
        "STATE_DIRECTORY", TEXT, "~/.local/state/sandbox", "Where the embedded database lives (systemd sets it)."
    )
    session_label: str = _variable(
        "SESSION_LABEL",
        (_label, "a Docker label name"),
        "sandbox.session.id",
        "The label whose value is a container's session id.",
    )
    session_image: str = _variable(
        "SESSION_IMAGE", TEXT, "sandbox-session:latest", "The image of a session whose creation names none."
    )
    session_command: tuple[str, ...] = _variable(
        "SESSION_COMMAND",
        (_command, "a command line with quotes as in a shell"),
        "",
        "What a session's container runs as its main process; unset: an idle process of ours, which any image can run.",
    )
    session_network: str = _variable(
        "SESSION_NETWORK",
        (_network, "a Docker network's name, or none"),
        "sandbox",
        "The network of session containers, made when it is missing; previews look for an address there first.",
    )
    session_network_internal: bool = _variable(
        "SESSION_NETWORK_INTERNAL", FLAG, "false", "Make the session network without a way out to the world."
    )
    session_network_shared: bool = _variable(
        "SESSION_NETWORK_SHARED",
        FLAG,
        "false",
        "Use the session network even when it lets containers reach each other; else creations on it are refused.",
    )
    session_memory_mb: int = _variable(
        "SESSION_MEMORY_MB", _whole(16, 1 << 22), "1024", "MiB of memory of a session whose creation names none."
    )
    session_memory_mb_max: int = _variable(
        "SESSION_MEMORY_MB_MAX", _whole(16, 1 << 22), "8192", "MiB of memory that a creation may ask for at most."
    )
    session_cpus: float = _variable(
        "SESSION_CPUS", _number(0.01, 1024), "1", "CPU cores of a session whose creation names none."
    )
    session_cpus_max: float = _variable(
        "SESSION_CPUS_MAX", _number(0.01, 1024), "4", "CPU cores that a creation may ask for at most."
    )
    session_pids: int = _variable(
        "SESSION_PIDS", _whole(16, 1 << 22), "2048", "Processes and threads that a session may have at once."
    )
    session_log_mb: int = _variable(
        "SESSION_LOG_MB", _whole(1, 1024), "1", "MiB of a container's own log that the engine keeps."
    )
    session_stop_timeout: int = _variable(
        "SESSION_STOP_TIMEOUT", _whole(0, 600), "10", "Seconds between SIGTERM and SIGKILL when a session is stopped."
    )
    session_queue: int = _variable(
        "SESSION_QUEUE",
        _whole(1, 10_000),
        "16",
        "Lifecycle calls that may wait for one and the same session (503 beyond).",
    )
    container_runtime: str | None = _variable(
        "CONTAINER_RUNTIME",
        TEXT,
        None,
        "The engine's runtime for session containers, such as runsc; unset: its default.",
    )
    reconcile_interval: float = _variable(
        "RECONCILE_INTERVAL",
        SECONDS,
        "60",
        "Seconds between comparisons of the store with the engine; 0: only at start and reconnect.",
    )
    engine_threads: int = _variable(
        "ENGINE_THREADS", _whole(1, 256), "8", "Threads for engine calls that create, start, stop and remove."
    )
    engine_query_threads: int = _variable(
        "ENGINE_QUERY_THREADS", _whole(1, 256), "4", "Threads for engine calls that only look."
    )
    engine_queue: int = _variable(
        "ENGINE_QUEUE",
        _whole(1, 100_000),
        "512",
        "Engine calls that may wait for a thread before more are refused (503).",
    )
    engine_heartbeat: float = _variable(
        "ENGINE_HEARTBEAT",
        _number(0.1, 3600),
        "10",
        "Seconds between signs of life asked of the engine, and the wait for one.",
    )
    engine_retry_max: float = _variable(
        "ENGINE_RETRY_MAX",
        _number(0.1, 3600),
        "5",
        "Seconds at most between attempts to follow the engine's events again.",
    )
    engine_timeout: float = _variable(
        "ENGINE_TIMEOUT", _number(0.1, 3600), "60", "Seconds that one engine call may take."
    )
    exec_output_limit: int = _variable(
        "EXEC_OUTPUT_LIMIT", _whole(0, 1 << 30), "10485760", "Bytes kept of each output stream of a command."
    )
    exec_output_grace: float = _variable(
        "EXEC_OUTPUT_GRACE",
        _number(0, 60),
        "0.1",
        "Seconds to go on collecting output after a command ended while a background child keeps its pipe open.",
    )
    exec_kill_timeout: float = _variable(
        "EXEC_KILL_TIMEOUT",
        _number(0.1, 600),
        "5",
        "Seconds to wait for a kill to be confirmed from inside a container.",
    )
    max_execs: int = _variable("MAX_EXECS", _whole(1, 100_000), "1024", "Commands running at once; beyond it 503.")
    max_container_requests: int = _variable(
        "MAX_CONTAINER_REQUESTS",
        _whole(1, 1000),
        "512",
        "Commands and file operations at once in one container; beyond it 503.",
    )
    log_commands: bool = _variable(
        "LOG_COMMANDS", FLAG, "true", "Log the text of commands, which may hold secrets; else only the program's name."
    )
    file_size_limit: int = _variable(
        "FILE_SIZE_LIMIT", _whole(0, 1 << 30), "10485760", "Bytes of the largest file that can be read through the API."
    )
    directory_limit: int = _variable(
        "DIRECTORY_LIMIT", _whole(1, 10_000_000), "200000", "Entries of the largest directory that can be listed."
    )
    file_timeout: float = _variable(
        "FILE_TIMEOUT", _number(0.1, 3600), "60", "Seconds that one file operation may take."
    )
    agent_idle_timeout: float = _variable(
        "AGENT_IDLE_TIMEOUT", SECONDS, "60", "Seconds after which an unused agent in a container is ended; 0 keeps it."
    )
    body_limit: int = _variable(
        "BODY_LIMIT",
        _whole(1024, 1 << 30),
        "10485760",
        "Bytes of the largest request body of the internal API (413 beyond).",
    )
    max_previews: int = _variable(
        "MAX_PREVIEWS", _whole(1, 10_000_000), "100000", "Preview registrations kept at most; beyond it 503."
    )
    preview_domain: str = _variable(
        "PREVIEW_DOMAIN",
        (_domain, "a domain name of at most 110 bytes, without a port"),
        "localhost",
        "What preview hosts end with: http://PORT-SESSION.PREVIEW_DOMAIN/.",
    )
    public_url: str | None = _variable(
        "PUBLIC_URL",
        (_origin, "http://HOST or https://HOST, with :PORT or without, and nothing behind"),
        None,
        "Where browsers reach the daemon, for the URLs it answers with; unset: http://localhost and the port.",
    )
    preview_websocket_ping: float = _variable(
        "PREVIEW_WEBSOCKET_PING",
        SECONDS,
        "30",
        "Seconds without traffic after which a WebSocket's browser is pinged, so that proxies keep it open; 0: never.",
    )
    preview_websocket_pong_timeout: float = _variable(
        "PREVIEW_WEBSOCKET_PONG_TIMEOUT",
        _number(0.1, 86_400),
        "20",
        "Seconds that a pinged browser may be silent before its WebSocket is dropped.",
    )
    preview_websocket_close_timeout: float = _variable(
        "PREVIEW_WEBSOCKET_CLOSE_TIMEOUT",
        _number(0.1, 600),
        "5",
        "Seconds that both ends of a WebSocket have for the closing handshake that the daemon begins.",
    )
    preview_connect_timeout: float = _variable(
        "PREVIEW_CONNECT_TIMEOUT",
        _number(0.1, 600),
        "5",
        "Seconds until an application that does not take a connection counts as unreachable.",
    )
    preview_response_timeout: float = _variable(
        "PREVIEW_RESPONSE_TIMEOUT",
        SECONDS,
        "120",
        "Seconds until an application that took a request must have begun to answer (504 beyond); 0: for ever.",
    )
    preview_continue_timeout: float = _variable(
        "PREVIEW_CONTINUE_TIMEOUT",
        _number(0, 600),
        "1",
        "Seconds to wait for an application's 100 Continue before the daemon says it itself.",
    )
    preview_health_timeout: float = _variable(
        "PREVIEW_HEALTH_TIMEOUT", _number(0.1, 600), "5", "Seconds that a preview's health check may take."
    )
    preview_connections: int = _variable(
        "PREVIEW_CONNECTIONS",
        _whole(1, 100_000),
        "256",
        "Connections to one session's container, WebSockets included; beyond it 503.",
    )
    preview_idle_connections: int = _variable(
        "PREVIEW_IDLE_CONNECTIONS",
        _whole(0, 100_000),
        "32",
        "Connections to one session's container that are kept for the next request.",
    )
    preview_idle_timeout: float = _variable(
        "PREVIEW_IDLE_TIMEOUT",
        SECONDS,
        "4",
        "Seconds that they are kept: less than the 5 after which common dev servers close theirs.",
    )
    preview_referer_fallback: bool = _variable(
        "PREVIEW_REFERER_FALLBACK",
        FLAG,
        "true",
        "Send requests that no route takes into the preview that their Referer lies in.",
    )
    http_line_limit: int = _variable(
        "HTTP_LINE_LIMIT", _whole(1024, 1 << 20), "16384", "Bytes of a request line; beyond it 414."
    )
    http_head_limit: int = _variable(
        "HTTP_HEAD_LIMIT", _whole(1024, 1 << 20), "65536", "Bytes of a request's head; beyond it 431."
    )
    http_field_limit: int = _variable(
        "HTTP_FIELD_LIMIT", _whole(10, 10_000), "200", "Header fields of a request, in number; beyond it 431."
    )
    http_head_timeout: float = _variable(
        "HTTP_HEAD_TIMEOUT", _number(0.1, 3600), "10", "Seconds from a request's first byte to its head's last (408)."
    )
    http_idle_timeout: float = _variable(
        "HTTP_IDLE_TIMEOUT",
        _number(0.1, 86_400),
        "75",
        "Seconds that a client's connection is kept without a request, or without its reading anything.",
    )
    http_upload_timeout: float = _variable(
        "HTTP_UPLOAD_TIMEOUT", _number(0.1, 86_400), "60", "Seconds that an upload may stall (408)."
    )
    drain_seconds: float = _variable(
        "DRAIN_SECONDS",
        _number(0, 3600),
        "8",
        "Seconds that requests in flight get to finish when the daemon is stopped.",
    )
    trusted_proxies: tuple[str, ...] = _variable(
        "TRUSTED_PROXIES",
        (_peers, "addresses or networks, or unix, separated by commas"),
        "",
        "Peers whose X-Forwarded-* and Forwarded fields are kept.",
    )

    @property
    def database(self) -> str:
        """The database's URL, the embedded one when none was named; a relative path is under the state directory."""
        return self.database_url or "sqlite:///sandbox.db"

    @property
    def jwt_secrets(self) -> tuple[bytes, ...]:
        """The secrets of :attr:`jwt_secret`, newest first; none when it is unset."""
        return split_secrets(self.jwt_secret) if self.jwt_secret else ()


def variables() -> list[Variable]:
    """Every variable, in the order in which help and examples show them."""
    return [field.metadata[_METADATA] for field in attrs.fields(Settings)]


def weak_secrets(settings: Settings) -> list[str]:
    """The variables whose secrets are so short that whoever sees something signed with them may guess them."""
    return ["JWT_SECRET"] if any(len(secret) < STRONG for secret in settings.jwt_secrets) else []


def parse(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment. A variable that is set to nothing counts as unset.

    :raises SettingError: naming the first variable that is missing or wrong.
    """
    values: dict[str, Any] = {}
    for field in attrs.fields(Settings):
        variable: Variable = field.metadata[_METADATA]
        text = environment.get(variable.name) or variable.default
        if text is REQUIRED:
            raise SettingError(f"{variable.name} is required: set it to {variable.accepts}")
        try:
            values[field.name] = None if text is None else variable.parse(text)
        except ValueError:
            shown = "" if variable.secret else f", not {text!r}"
            raise SettingError(f"{variable.name} must be {variable.accepts}{shown}") from None
    settings = Settings(**values)
    if settings.enable_preview_access_control and not settings.jwt_secret:
        raise SettingError("JWT_SECRET is required when ENABLE_PREVIEW_ACCESS_CONTROL is true: set it to " + TEXT[1])
    if settings.sessions_read_only and settings.database.startswith("sqlite:"):
        raise SettingError("SESSIONS_READ_ONLY needs DATABASE_URL to be postgresql://USER@HOST/NAME")
    for what in ("memory_mb", "cpus"):
        if getattr(settings, f"session_{what}") > getattr(settings, f"session_{what}_max"):
            raise SettingError(f"SESSION_{what.upper()} must not be more than SESSION_{what.upper()}_MAX")
    return attrs.evolve(settings, state_directory=os.path.expanduser(settings.state_directory))
