"""The domain's values as JSON, and JSON as the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.domain.host_verdicts import HostMode, HostVerdicts
from sandbox.domain.model import Entry, ExecResult, ExecSpec, Preview, Session, iso, iso_ns
from sandbox.operations.execution import SHELL
from sandbox.policy.commands import checked_arguments, checked_environment, encoded
from sandbox.policy.paths import workspace_path


def session_view(session: Session) -> dict[str, Any]:
    """A session (contract section 8)."""
    return {
        "id": session.id,
        "userId": session.user_id,
        "status": session.status.value,
        "image": session.image,
        "containerId": session.container_id,
        "createdAt": iso(session.created_at),
        "updatedAt": iso(session.updated_at),
    }


def metadata_view(entry: Entry) -> dict[str, Any]:
    """What a file is (contract section 3)."""
    return {"type": entry.type.value, "size": entry.size, "modifiedAt": iso_ns(entry.modified_ns)}


def result_view(result: ExecResult) -> dict[str, Any]:
    """What a command did (contract section 2); its output becomes text while it is written."""
    payload: dict[str, Any] = {
        "exitCode": result.exit_code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "durationMs": result.duration_ms,
        "truncated": result.truncated,
    }
    if result.signal is not None:
        payload["signal"] = result.signal
    if result.oom_killed:
        payload["code"] = "OOM_KILLED"
    return payload


def exec_spec(body: Mapping[str, Any], output_limit: int) -> ExecSpec:
    """The command that a body asks for (contract section 2).

    :raises InvalidRequest: for what no kernel would take.
    :raises InvalidPath: for a relative ``cwd`` that the rules of section 3 refuse.
    """
    command = body["command"]
    shell, words = (SHELL, [command]) if isinstance(command, str) else ([], command)
    cwd = body.get("cwd", ".")
    return ExecSpec(
        argv=shell + checked_arguments(words),
        # An absolute path is the command's own business; a relative one follows the rules of section 3.
        cwd=encoded("cwd", cwd) if cwd.startswith("/") else workspace_path(cwd),
        env=checked_environment(body.get("env", {})),
        timeout_ms=body.get("timeoutMs", 300_000),
        output_limit=output_limit,
    )


_HOST_MODES = {
    **{mode.value: mode for mode in HostMode},
    "preserve": HostMode.PUBLIC,
    "rewrite": HostMode.LOCAL,
}


def preview_of(session_id: str, body: Mapping[str, Any]) -> Preview:
    """The preview that a body registers (contract section 4)."""
    return Preview(
        session_id=session_id,
        port=body["port"],
        strip_prefix=body.get("stripPrefix", True),
        host=_HOST_MODES[body.get("host", "auto")],
        access=body.get("access"),
    )


def host_state(preview: Preview, verdicts: HostVerdicts) -> dict[str, str | None]:
    """Where an application is told that it is, by the form of the address that a browser came by."""
    if preview.host is not HostMode.AUTO:
        return dict.fromkeys(("host", "path"), preview.host.value)
    forms = {"host": verdicts.host, "path": verdicts.path}
    return {form: None if verdict.found is None else verdict.found.value for form, verdict in forms.items()}
