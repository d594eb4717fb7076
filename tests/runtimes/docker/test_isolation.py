"""``sandbox.runtimes.docker.isolation``: what the engine is asked to make. What comes of it: test_walls.py."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.model import ContainerSpec
from sandbox.runtimes.docker.isolation import (
    container_config,
    resource_name,
)
from sandbox.settings import parse

INSTANCE = "0123456789ab"


def config(spec: ContainerSpec | None = None, *, internal: bool = False, **environment: str) -> dict[str, Any]:
    """The create call's body under an environment."""
    return container_config(
        spec or ContainerSpec(session_id="s", image="image:1"),
        parse({"INTERNAL_SERVICE_KEY": "x", **environment}),
        instance=INSTANCE,
        volume="volume",
        command=("/agent", "idle"),
        internal=internal,
    )


class ContainerConfigTests(SynchronousTestCase):
    """Isolation is on without anybody asking for it."""

    def test_no_privileges(self) -> None:
        host = config()["HostConfig"]
        self.assertEqual(host["CapDrop"], ["ALL"])
        self.assertEqual(
            sorted(host["CapAdd"]),
            ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"],
        )
        self.assertEqual(host["SecurityOpt"], ["no-new-privileges:true"], "nothing that turns seccomp off either")
        self.assertNotIn("Privileged", host)

    def test_nothing_of_the_host_but_the_workspace_volume(self) -> None:
        host = config()["HostConfig"]
        (mount,) = host["Mounts"]
        self.assertEqual((mount["Type"], mount["Source"], mount["Target"]), ("volume", "volume", "/workspace"))
        for name in ("Binds", "Devices", "PidMode", "UTSMode", "UsernsMode", "VolumesFrom", "PortBindings"):
            self.assertNotIn(name, host)
        self.assertEqual(host["IpcMode"], "private")
        self.assertEqual(host["NetworkMode"], "sandbox")

    def test_limits_by_default(self) -> None:
        host = config()["HostConfig"]
        self.assertEqual((host["Memory"], host["MemorySwap"]), (1024 << 20, 1024 << 20))
        self.assertEqual((host["NanoCpus"], host["PidsLimit"]), (10**9, 2048))
        self.assertEqual(host["LogConfig"], {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}})
        self.assertEqual(host["RestartPolicy"], {"Name": "no"})
        self.assertIs(host["Init"], True)

    def test_limits_by_configuration(self) -> None:
        host = config(
            SESSION_MEMORY_MB="64",
            SESSION_CPUS="0.5",
            SESSION_PIDS="100",
            SESSION_LOG_MB="3",
            SESSION_NETWORK="other",
            CONTAINER_RUNTIME="runsc",
        )["HostConfig"]
        self.assertEqual((host["Memory"], host["NanoCpus"], host["PidsLimit"]), (64 << 20, 5 * 10**8, 100))
        self.assertEqual((host["LogConfig"]["Config"]["max-size"], host["NetworkMode"]), ("3m", "other"))
        self.assertEqual(host["Runtime"], "runsc")
        self.assertNotIn("Runtime", config()["HostConfig"])

    def test_f35_disk_space_by_configuration(self) -> None:
        host = config(SESSION_DISK_MB="64")["HostConfig"]
        self.assertEqual(host["StorageOpt"], {"size": "64M"})
        self.assertEqual(host["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"], {"size": "64M"})
        free = config()["HostConfig"]
        self.assertNotIn("StorageOpt", free)
        self.assertNotIn("Options", free["Mounts"][0]["VolumeOptions"]["DriverConfig"])

    def test_f49_on_an_internal_network_there_is_a_resolver_that_nothing_answers_for(self) -> None:
        self.assertEqual(config(internal=True)["HostConfig"]["Dns"], ["192.0.2.1"])
        self.assertNotIn("Dns", config()["HostConfig"])

    def test_limits_by_session(self) -> None:
        host = config(ContainerSpec(session_id="s", image="i", memory_mb=32, cpus=0.01))["HostConfig"]
        self.assertEqual((host["Memory"], host["MemorySwap"], host["NanoCpus"]), (32 << 20, 32 << 20, 10**7))

    def test_the_images_command_does_not_run(self) -> None:
        made = config()
        self.assertEqual((made["Entrypoint"], made["Cmd"]), (["/agent", "idle"], []))
        self.assertEqual((made["StopSignal"], made["Healthcheck"]), ("SIGTERM", {"Test": ["NONE"]}))

    def test_the_volume_is_labelled_as_the_container_is(self) -> None:
        made = config()
        options = made["HostConfig"]["Mounts"][0]["VolumeOptions"]
        self.assertEqual(options, {"Labels": made["Labels"], "DriverConfig": {"Name": "local"}})

    def test_environment_and_labels(self) -> None:
        made = config(ContainerSpec(session_id="s", image="i", env={"A": "b=c", "E": ""}), SESSION_LABEL="my.label")
        self.assertEqual(made["Env"], ["A=b=c", "E="])
        self.assertEqual(made["Labels"], {"my.label": "s", "sandbox.instance": INSTANCE})
        self.assertEqual(made["WorkingDir"], "/workspace")


class NameTests(SynchronousTestCase):
    """Names that neighbours can see do not tell ids."""

    def test_no_id_in_it(self) -> None:
        self.assertNotIn("secret-id", resource_name(INSTANCE, "secret-id"))

    def test_the_same_for_the_same_session_and_no_other(self) -> None:
        names = {resource_name(INSTANCE, one) for one in ("a", "A", "-", "a" * 64)}
        self.assertEqual(len(names), 4)
        self.assertEqual(resource_name(INSTANCE, "a"), resource_name(INSTANCE, "a"))
        self.assertNotEqual(resource_name(INSTANCE, "a"), resource_name("ba9876543210", "a"))

    def test_a_name_that_engines_take(self) -> None:
        self.assertRegex(resource_name(INSTANCE, "-" * 64), r"\Asandbox-012345-[0-9a-f]{20}\Z")
