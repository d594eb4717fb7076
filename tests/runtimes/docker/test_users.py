"""Commands run as the user, with the groups and the HOME, that the engine's own exec gives (F7, F8)."""

from __future__ import annotations

from typing import Any

from twisted.internet.threads import deferToThread

from sandbox.domain.model import ExecSpec
from tests.runtimes.docker.test_agents import AgentsTestCase

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
  leading:x:1501:1601::/home/leading:/bin/sh
four:x:1502:1602
six:x:1503:1603:GECOS:/home/six

\ttab:x:1504:1604::/home/tab:/bin/sh\t
twin:x:1503:1605::/home/twin:/bin/sh
1502:x:1506:1606::/home/number:/bin/sh
plus:x:+1507:1607::/home/plus:/bin/sh
words:x:twelve:thirteen::/home/words:/bin/sh
short:x
"""

GROUP = """\
root:x:0:
  audio:x:44:four,six
# a comment:x:46:four
#video:x:47:four
bare:x:48
video:x:45:leading,four,four
again:x:44:leading
"""

#: Each ``USER`` of an image, and ``--user`` of a command line.
USERS = (
    *("", "root", "leading", "four", "six", "tab", "twin", "plus", "words", "short"),
    *(
        "1501",
        "1502",
        "1503",
        "1504",
        "007",
        "+1501",
        "4711",
        "1502:audio",
        "four:bare",
        "four:4712",
        "4711:48",
        ":audio",
    ),
)

IDENTITY = b"grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo \"HOME=$HOME\""


class UsersTests(AgentsTestCase):
    """The agent against ``docker exec``, in one container each."""

    timeout = 300

    def prepared(self, user: str, **host_config: Any) -> str:
        """A container of that user with this page's user database in its file system; blocks."""
        return self.lab.container(user=user, image=self.made, **host_config)

    def setUp(self) -> None:
        """Have an image with the database."""
        super().setUp()
        build = self.lab.container(user="", network="none")
        self.lab.run(build, f"cat > /etc/passwd <<'E'\n{PASSWD}E\ncat > /etc/group <<'E'\n{GROUP}E\n")
        repository, tag = "sandbox-test", f"users-{self.lab.token}"
        self.lab.engine.commit(build, repository=repository, tag=tag)
        self.made = f"{repository}:{tag}"
        # The lab removes its containers before.
        self.addCleanup(self.lab.engine.remove_image, self.made, force=True)

    async def compare(self, user: str, **host_config: Any) -> dict[str, str]:
        """Both say the same; that."""
        container_id = await deferToThread(self.prepared, user, **host_config)
        expected = await deferToThread(self.lab.run, container_id, IDENTITY.decode(), user="")
        spec = ExecSpec(argv=[b"/bin/sh", b"-c", IDENTITY])
        found = await self.runtime.execute(self.described(container_id), spec)
        self.assertEqual((_sorted(found.stdout.decode()), found.exit_code), (_sorted(expected), 0), (user, host_config))
        self.lab.engine.remove_container(container_id, force=True)
        return _sorted(expected)

    async def test_f7_users_of_untidy_databases_are_those_of_docker_exec(self) -> None:
        for user in USERS:
            await self.compare(user)

    async def test_f7_without_capabilities_too(self) -> None:
        for user in ("four", "leading", "1502"):
            await self.compare(user, cap_drop=["ALL"])

    async def test_f8_groups_that_are_added_by_name_or_number_are_there(self) -> None:
        for user in ("four", "", "1502:48"):
            said = await self.compare(user, group_add=["video", "4713", "bare", "48"])
            self.assertLessEqual({"45", "48", "4713"}, set(said["Groups"].split()))

    async def test_f8_more_groups_than_a_frame_of_the_first_protocol_held(self) -> None:
        said = await self.compare("four", group_add=[str(number) for number in range(5000, 5100)])
        self.assertIn("5099", said["Groups"])

    async def test_f7_an_empty_home_counts_as_none(self) -> None:
        container_id = self.lab.container(user="six", image=self.made, environment={"HOME": ""})
        expected = self.lab.run(container_id, "echo $HOME", user="")
        found = await self.runtime.execute(
            self.described(container_id), ExecSpec(argv=[b"/bin/sh", b"-c", b"echo $HOME"])
        )
        self.assertEqual(found.stdout.decode(), expected)


def _sorted(said: str) -> dict[str, str]:
    """The lines by their first word; groups in order and each once."""
    found = {}
    for line in said.splitlines():
        name, _, rest = line.replace("=", ":", 1).partition(":")
        found[name] = " ".join(sorted(set(rest.split()))) if name == "Groups" else rest.strip()
    return found
