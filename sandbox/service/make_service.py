"""``makeService``, the entry point that twistd calls."""

from __future__ import annotations

import os
from functools import partial

from sandbox.http.authentication import ServiceKey
from sandbox.net.reactor import use_monotonic_clock
from sandbox.options import Options
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.application import Application
from sandbox.service.daemon import Daemon
from sandbox.service.notify import Notify
from sandbox.service.reload import Reload
from sandbox.settings import SettingError
from sandbox.stores.factory import make_store
from sandbox.stores.instrumented import InstrumentedStore
from sandbox.telemetry.metrics import work
from sandbox.telemetry.monitoring import Monitoring


def makeService(options: Options) -> Daemon:
    """Make the service that ``twistd sandbox`` runs."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 - installed by twistd; passed on to all

    # A reactor chosen by --reactor has the wall clock; no call is scheduled on it yet.
    use_monotonic_clock(reactor)
    settings, logs = options.settings, options.logs
    reload = Reload(reactor, options.source, settings)
    if logs is not None:
        reload.on_change(lambda now: logs.set_level(now.log_level))
    key = ServiceKey(settings.internal_service_key.encode("utf-8"))
    reload.on_change(lambda now: key.use_key(now.internal_service_key.encode("utf-8")))
    monitoring = Monitoring(reactor, settings, key, logs)
    scheduler = Scheduler(reactor)
    monitoring.publish(partial(work.jobs, scheduler.counts))
    try:
        store = InstrumentedStore(make_store(settings, reactor))
        monitoring.publish_calls("sandbox_store", "database", store.calls)
        monitoring.publish_workers(lambda: {"database": store.workers})

        def build(instance: str, public_url: str) -> Application:
            # A reload may have happened while the store was unavailable.
            now = reload.settings
            runtime = DockerRuntime(reactor, now, instance, scheduler)
            monitoring.publish_calls("sandbox_engine", "Docker engine", runtime.calls)
            monitoring.publish_workers(lambda: runtime.workers)
            monitoring.publish(lambda: work.engine(runtime.stream, runtime.sessions, reactor.seconds()))
            application = Application(
                reactor, now, store, runtime, public_url, scheduler=scheduler, monitoring=monitoring
            )
            reload.on_change(application.reconfigure)
            return application

        return Daemon(
            reactor,
            settings,
            store,
            build,
            options["listen"],
            scheduler=scheduler,
            logs=logs,
            monitoring=monitoring,
            notify=Notify(reactor, os.environ),
            reload=reload,
        )
    except SettingError as error:
        raise SystemExit(f"sandbox: {error}") from None
