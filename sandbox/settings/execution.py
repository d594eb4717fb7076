"""Commands and files in session containers."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import SECONDS, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Execution:
    """Commands and files in session containers."""

    exec_output_limit: int = variable(
        "EXEC_OUTPUT_LIMIT", whole(0, 1 << 30), "10485760", "Bytes kept of each output stream of a command."
    )
    exec_output_grace: float = variable(
        "EXEC_OUTPUT_GRACE",
        number(0, 60),
        "0.1",
        "Seconds of further output after a command's end while a background child keeps its pipe open.",
    )
    exec_kill_timeout: float = variable(
        "EXEC_KILL_TIMEOUT",
        number(0.1, 600),
        "5",
        "Seconds to wait for the confirmation of a kill by the agent in a container.",
    )
    max_execs: int = variable("MAX_EXECS", whole(1, 100_000), "1024", "Concurrent commands; beyond it 503.")
    max_container_execs: int = variable(
        "MAX_CONTAINER_EXECS", whole(1, 100_000), "64", "Concurrent commands in one container; beyond it 503."
    )
    max_container_requests: int = variable(
        "MAX_CONTAINER_REQUESTS",
        whole(1, 1000),
        "512",
        "Concurrent commands and file operations in one container; beyond it 503.",
    )
    file_size_limit: int = variable(
        "FILE_SIZE_LIMIT", whole(0, 1 << 30), "10485760", "Bytes of the largest file that can be read through the API."
    )
    directory_limit: int = variable(
        "DIRECTORY_LIMIT", whole(1, 10_000_000), "20000", "Entries of the largest directory that can be listed."
    )
    answer_memory: int = variable(
        "ANSWER_MEMORY",
        whole(1 << 20, 1 << 40),
        "268435456",
        "Maximum bytes of commands' output, files and listings held by all requests together. Beyond it output is "
        "truncated, and files and listings are 503.",
    )
    file_timeout: float = variable("FILE_TIMEOUT", number(0.1, 3600), "60", "Timeout of a file operation in seconds.")
    idempotency_seconds: float = variable(
        "IDEMPOTENCY_SECONDS",
        number(1, 86_400),
        "600",
        "Seconds that the outcome of a command with an Idempotency-Key is kept, from the arrival of its request.",
    )
    idempotency_entries: int = variable(
        "IDEMPOTENCY_ENTRIES", whole(1, 1_000_000), "1000", "Maximum number of kept outcomes of commands."
    )
    idempotency_memory: int = variable(
        "IDEMPOTENCY_MEMORY", whole(0, 1 << 40), "67108864", "Maximum bytes of output in all kept outcomes."
    )
    agent_start_timeout: float = variable(
        "AGENT_START_TIMEOUT",
        number(0.1, 600),
        "5",
        "Seconds that starting the agent in a container may take; a container in which it hangs is killed.",
    )
    agent_idle_timeout: float = variable(
        "AGENT_IDLE_TIMEOUT", SECONDS, "60", "Seconds after which an unused agent in a container is stopped; 0: never."
    )
