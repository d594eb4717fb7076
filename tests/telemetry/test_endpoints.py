"""``/healthz``, ``/readyz`` and ``/metrics``: who is told what, and when."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox import __version__
from sandbox.domain.errors import EngineUnavailable, StoreUnavailable
from sandbox.telemetry.health import FRESH, Health, Report, Status
from tests.api.stage import KEY, Answer, ApiCase


class Asked(ApiCase):
    async def ask(self, path: str, *, key: str | None = None, method: str = "GET", **fields: str) -> Answer:
        return await self.call(method, path, key=key, headers=fields)

    def break_engine(self) -> None:
        """The engine is away, and nobody has asked yet."""
        self.monitoring.health.ready(
            {"engine": lambda: fail(EngineUnavailable("The Docker engine does not answer")), "store": self.store.ping}
        )

    async def test_anybody_learns_that_it_lives_and_is_ready_and_nothing_else(self) -> None:
        self.assertEqual((await self.ask("/healthz")).json, {"status": "alive"})
        self.assertEqual((await self.ask("/readyz")).json, {"status": "ready"})
        self.assertEqual((await self.ask("/readyz", key="wrong")).json, {"status": "ready"})

    async def test_f3_there_are_no_parameters(self) -> None:
        for path in ("/healthz?x=1", "/readyz?x", "/metrics?x=1&x=2"):
            answer = await self.ask(path, key=KEY)
            self.assert_refused(answer, 400, "Query parameter 'x' is unknown", "INVALID_REQUEST")

    async def test_f27_the_root_tells_the_version_to_who_has_the_key(self) -> None:
        told = (await self.ask("/")).json
        self.assertEqual(set(told), {"name", "description", "health", "readiness", "api", "documentation"})
        self.assertEqual((await self.ask("/", key=KEY)).json, {**told, "version": __version__})
        for path in (told["api"], told["documentation"]):
            self.assertEqual((await self.ask(path, key=KEY)).status, 200)
        page = await self.ask("/", Accept="text/html")
        self.assertIn(b"/api/internal/docs", page.body)
        self.assertNotIn(__version__.encode(), page.body)
        self.assertIn(__version__.encode(), (await self.ask("/", key=KEY, Accept="text/html")).body)

    async def test_who_has_the_key_learns_more(self) -> None:
        alive = (await self.ask("/healthz", key=KEY)).json
        self.assertEqual((alive["status"], alive["state"]), ("alive", "ready"))
        self.assertGreater(alive["uptimeSeconds"], 0)
        ready = (await self.ask("/readyz", key=KEY)).json
        self.assertEqual(set(ready["checks"]), {"engine", "store"})
        for check in ready["checks"].values():
            self.assertTrue(check["ok"])
            self.assertGreaterEqual(check["latencyMs"], 0)

    async def test_what_does_not_answer_is_503_and_only_who_has_the_key_learns_why(self) -> None:
        self.break_engine()
        answer = await self.ask("/readyz")
        self.assert_refused(answer, 503, "The daemon is unavailable", "NOT_READY")
        self.assertNotIn("checks", answer.json)
        answer = await self.ask("/readyz", key=KEY)
        self.assert_refused(answer, 503, "engine: The Docker engine does not answer", "NOT_READY")
        self.assertEqual(answer.json["status"], "unavailable")
        self.assertFalse(answer.json["checks"]["engine"]["ok"])
        self.assertTrue(answer.json["checks"]["store"]["ok"])
        self.assertEqual((await self.ask("/healthz")).status, 200)

    async def test_starting_and_ending_it_lives_and_is_not_ready(self) -> None:
        for begin, status in (
            (lambda: self.monitoring.health.starting("The store cannot be opened: secret-host"), "starting"),
            (self.monitoring.health.draining, "draining"),
        ):
            begin()
            self.assertEqual((await self.ask("/healthz")).json, {"status": "alive"})
            answer = await self.ask("/readyz")
            self.assertEqual((answer.status, answer.json["status"]), (503, status))
            self.assertNotIn(b"secret-host", answer.body)
            self.assertEqual((await self.ask("/healthz", key=KEY)).json["state"], status)

    async def test_it_answers_before_there_is_anything_else_and_previews_hosts_are_not_taken_for_it(self) -> None:
        starting = self.monitoring.site("other", inside=False)
        self.monitoring.health.starting("waiting")
        self.site.resource, self.site.admit = starting.resource, starting.admit
        self.assertEqual((await self.ask("/healthz")).status, 200)
        # The daemon's own name may lie below the preview domain.
        self.assertEqual((await self.ask("/healthz", Host="sandbox.localhost")).status, 200)
        self.assertEqual((await self.ask("/readyz")).status, 503)
        self.assertEqual((await self.ask("/metrics", key=KEY)).status, 200)
        for path, fields in (("/other", {}), ("/metrics", {}), ("/healthz", {"Host": "3000-s1.localhost"})):
            self.assert_refused(await self.ask(path, **fields), 503, "The daemon is starting", "STARTING")

    async def test_metrics_are_there_for_who_has_the_key(self) -> None:
        answer = await self.ask("/metrics", key=KEY)
        self.assertEqual(
            (answer.status, answer.headers[b"content-type"]), (200, b"text/plain; version=0.0.4; charset=utf-8")
        )
        self.assertIn(b"\nsandbox_build_info{", answer.body)
        for key in (None, "wrong"):
            self.assertEqual((await self.ask("/metrics", key=key)).status, 404)

    async def test_on_a_listener_of_the_operator_s_own_no_key_is_needed(self) -> None:
        root = self.application.root(public=False, internal=True)
        self.site.resource, self.site.admit = root, root.admit
        self.assertEqual((await self.ask("/metrics")).status, 200)
        self.assertIn("checks", (await self.ask("/readyz")).json)
        self.assertIn("version", (await self.ask("/healthz")).json)

    async def test_they_are_read_and_not_written(self) -> None:
        self.assertEqual((await self.ask("/healthz", method="HEAD")).status, 200)
        answer = await self.ask("/readyz", method="POST")
        self.assertEqual((answer.status, answer.headers[b"allow"]), (405, b"GET, HEAD"))

    async def test_other_paths_are_not_ours(self) -> None:
        for path in ("/healthzz", "/healthz/", "/Healthz", "/health%7a"):
            self.assertEqual((await self.ask(path)).status, 404)

    async def test_on_a_preview_s_host_the_path_is_the_application_s(self) -> None:
        for path in ("/healthz", "/readyz", "/metrics"):
            answer = await self.ask(path, key=KEY, Host="3000-s1.localhost")
            self.assert_refused(answer, 404, "No preview port registered for session s1")

    async def test_what_a_preview_s_page_asks_for_is_the_application_s(self) -> None:
        answer = await self.ask("/healthz", key=KEY, Referer=f"{self.base}/previews/s1/page")
        self.assertEqual((answer.status, answer.headers[b"location"]), (307, b"/previews/s1/healthz"))
        self.assertEqual((await self.ask("/healthz", Referer="http://elsewhere/previews/s1/")).status, 200)

    async def test_the_answers_are_counted_and_logged_as_what_they_are(self) -> None:
        await self.ask("/healthz")
        await self.ask("/metrics")
        routes = self.monitoring._traffic.routes
        self.assertEqual(routes["/healthz"].responses, {(b"GET", 200): 1})
        self.assertEqual(routes["other"].responses, {(b"GET", 404): 1})


class Checks(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.health = Health(self.clock, 2.0)
        self.waiting: list[Deferred[None]] = []
        self.health.ready({"engine": self.check, "store": lambda: succeed(None)})

    def check(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        return waiting

    def status(self, report: Deferred[Report]) -> Status:
        return self.successResultOf(report).status

    def test_those_who_ask_at_once_wait_for_one_check(self) -> None:
        reports = [self.health.report() for _ in range(100)]
        self.assertEqual(len(self.waiting), 1)
        self.waiting[0].callback(None)
        self.assertEqual({self.status(report) for report in reports}, {Status.READY})

    def test_an_answer_is_everybody_s_for_a_second(self) -> None:
        self.health.report()
        self.waiting[0].callback(None)
        self.clock.advance(FRESH - 0.01)
        self.assertIs(self.status(self.health.report()), Status.READY)
        self.assertEqual(len(self.waiting), 1)
        self.clock.advance(0.02)
        self.assertNoResult(self.health.report())
        self.assertEqual(len(self.waiting), 2)
        self.waiting[1].callback(None)

    def test_what_does_not_answer_in_time_is_not_waited_for(self) -> None:
        report = self.health.report()
        self.clock.advance(2.1)
        found = self.successResultOf(report)
        self.assertEqual((found.status, found.reason), (Status.UNAVAILABLE, "engine: no answer within 2 s"))
        self.assertIsNone(found.findings["store"].error)

    def test_an_error_of_the_domain_is_told_and_an_unforeseen_one_is_logged(self) -> None:
        report = self.health.report()
        self.waiting[0].errback(StoreUnavailable("The database does not answer"))
        self.assertEqual(self.successResultOf(report).reason, "engine: The database does not answer")
        self.clock.advance(FRESH)
        report = self.health.report()
        self.waiting[1].errback(RuntimeError("the inside"))
        self.assertEqual(self.successResultOf(report).reason, "engine: the check failed")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_daemon_that_begins_to_end_meanwhile_is_not_ready(self) -> None:
        report = self.health.report()
        self.health.draining()
        self.waiting[0].callback(None)
        self.assertIs(self.status(report), Status.DRAINING)
        self.assertIs(self.status(self.health.report()), Status.DRAINING)
