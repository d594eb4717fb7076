"""Who may see a preview (contract section 6), on any session store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sandbox.domain.errors import AccessDenied, AccessUnavailable, PreviewNotRegistered, SandboxError
from sandbox.domain.model import Link, Preview
from sandbox.domain.principals import ROOT
from sandbox.events.bus import EventBus
from sandbox.operations.links import LinkAddresses, Links
from sandbox.policy.access import Credential, Mode, Place
from sandbox.policy.links import LinkToken, write_link
from sandbox.policy.signing import Purpose, Signer
from sandbox.protocols.hostnames import Addresses
from sandbox.routing.access import Access, Grant, Keys
from sandbox.routing.authorizations import LOOK
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.subscriptions import subscribe_access
from tests.contracts.store import session
from tests.policy.jwts import SECRET, attacks, token
from tests.stores.aggregates import using

NOW = 1_800_000_000


class Registry:
    """The part of the previews' registry that links look at."""

    def __init__(self) -> None:
        self.registered: dict[str, int] = {}

    def preview(self, session_id: str) -> Preview:
        if session_id not in self.registered:
            raise PreviewNotRegistered(session_id)
        return Preview(session_id=session_id, port=self.registered[session_id])


class AccessContract:
    """The suite. A subclass gives ``make_store()``: a store, not open yet, empty, closed when the test ends."""

    timeout = 60

    async def begin(self, *, secrets: tuple[bytes, ...] = (SECRET,), **options: Any) -> Access:
        """An ``Access`` on a store with the session ``s1`` of ``alice``, at :data:`NOW`."""
        self.store = await self.make_store()
        await self.store.open()
        await using(self.store).add(session("s1", user_id="alice"))
        self.clock = Clock()
        self.clock.advance(NOW)
        self.registry = Registry()
        self.access = self.new_access(secrets, **options)
        return self.access

    def new_access(self, secrets: tuple[bytes, ...] = (SECRET,), **options: Any) -> Access:
        """Another one on the same store and clock, as after a restart."""
        self.events = EventBus()
        access = Access(self.clock, self.store, Keys(secrets, b"s" * 32), now=self.clock.seconds, **options)
        subscribe_access(self.events, access)
        scheduler = Scheduler(self.clock)
        scheduler.every(LOOK, "authorizations", access.end_expired)
        self.addCleanup(scheduler.close)
        self.links = Links(
            self.store,
            access,
            self.registry,
            Addresses("http://localhost:4002", "localhost"),
            self.events,
            now=lambda: datetime.fromtimestamp(self.clock.seconds(), UTC),
        )
        return access

    async def grant(
        self, *credentials: Credential, session_id: str = "s1", mode: Mode = Mode.LINK, access: Access | None = None
    ) -> Grant:
        found = (access or self.access).admit(session_id, mode, credentials)
        grant: Grant = await found if isinstance(found, Deferred) else found
        return grant

    def told(self, grant: Grant) -> list[str]:
        """Something that leans on a grant; not empty once that has ended."""
        told: list[str] = []
        assert grant.authorization is not None
        grant.authorization.attach(lambda: told.append("ended"))
        return told

    async def refusal(self, *credentials: Credential, **how: Any) -> str:
        """The message of the refusal; fails when there is none."""
        try:
            await self.grant(*credentials, **how)
        except SandboxError as error:
            return error.message
        raise AssertionError("granted")

    async def link(self, session_id: str = "s1", ttl: int = 3600, user_id: str | None = None) -> LinkAddresses:
        return await self.links.create(ROOT, session_id, ttl, user_id)

    # Tokens

    async def test_the_owners_token_in_each_place(self) -> None:
        await self.begin()
        for place in (Place.HEADER, Place.QUERY, Place.PROTOCOL):
            credential = Credential.of(place, token(sub="alice"))
            grant = await self.grant(credential)
            self.assertEqual((grant.user_id, grant.credential), ("alice", credential))
            self.assertEqual(list(grant.consumed), [credential.text])

    async def test_the_table_of_the_contract(self) -> None:
        await self.begin()
        for credentials, message in (
            ([], "Missing or invalid authorization token"),
            ([token(key=b"x" * 32)], "Invalid token"),
            ([token(exp=NOW)], "Token has expired"),
            ([token(sub="bob")], "You do not have permission to access this preview"),
        ):
            with self.subTest(message):
                found = [Credential.of(Place.HEADER, text) for text in credentials]
                self.assertEqual(await self.refusal(*found), message)

    async def test_no_such_session_is_denied_like_anothers(self) -> None:
        await self.begin()
        message = await self.refusal(Credential.of(Place.HEADER, token()), session_id="s2")
        self.assertEqual(message, "You do not have permission to access this preview")

    async def test_every_known_attack_is_refused_in_every_place(self) -> None:
        await self.begin()
        for name, text in attacks().items():
            for place in Place:
                with self.subTest(name, place=place):
                    self.assertEqual(await self.refusal(Credential.of(place, text)), "Invalid token")

    async def test_an_integer_names_a_user_as_its_digits_do(self) -> None:
        await self.begin()
        await using(self.store).add(session("s2", user_id="42"))
        self.assertEqual((await self.grant(Credential.of(Place.HEADER, token(sub=42)), session_id="s2")).user_id, "42")

    async def test_a_token_that_was_seen_expires_all_the_same(self) -> None:
        await self.begin()
        credential = Credential.of(Place.HEADER, token(exp=NOW + 10))
        await self.grant(credential)
        self.clock.advance(9)
        await self.grant(credential)
        self.clock.advance(1)
        self.assertEqual(await self.refusal(credential), "Token has expired")

    async def test_the_first_good_credential_counts_and_all_of_ours_are_consumed(self) -> None:
        await self.begin()
        theirs, expired, other, good = b"their.own.token", token(exp=1), token(sub="bob"), token()
        credentials = [Credential.of(Place.HEADER, text) for text in (theirs, expired, other, good)]
        grant = await self.grant(*credentials)
        self.assertEqual(grant.credential, credentials[-1])
        self.assertEqual(set(grant.consumed), {expired, other, good})

    async def test_when_none_is_good_the_first_ones_refusal_is_the_answer(self) -> None:
        await self.begin()
        expired, other = Credential.of(Place.HEADER, token(exp=1)), Credential.of(Place.QUERY, token(sub="bob"))
        self.assertEqual(await self.refusal(expired, other), "Token has expired")
        self.assertEqual(await self.refusal(other, expired), "You do not have permission to access this preview")

    async def test_where_everybody_may_see_nobody_is_asked_and_tokens_of_ours_are_consumed(self) -> None:
        await self.begin()
        await self.store.close()
        credentials = [Credential.of(Place.HEADER, text) for text in (token(sub="bob"), token(exp=1), b"theirs")]
        grant = await self.grant(*credentials, mode=Mode.PUBLIC)
        self.assertEqual(list(grant.consumed), [token(sub="bob"), token(exp=1)])
        self.assertEqual((grant.user_id, grant.authorization), (None, None))

    # Owners

    async def test_an_owner_is_asked_for_once_in_30_seconds(self) -> None:
        await self.begin()
        await self.grant(Credential.of(Place.HEADER, token()))
        await using(self.store).remove("s1")
        self.clock.advance(29)
        found = self.access.admit("s1", Mode.LINK, [Credential.of(Place.HEADER, token())])
        self.assertIsInstance(found, Grant, "answered at once")
        self.clock.advance(2)
        self.assertIn("permission", await self.refusal(Credential.of(Place.HEADER, token())))

    async def test_that_there_is_no_session_is_remembered_for_2_seconds(self) -> None:
        await self.begin()
        credential = Credential.of(Place.HEADER, token())
        self.assertIn("permission", await self.refusal(credential, session_id="s2"))
        await using(self.store).add(session("s2", user_id="alice"))
        self.clock.advance(1.9)
        self.assertIn("permission", await self.refusal(credential, session_id="s2"))
        self.clock.advance(0.2)
        await self.grant(credential, session_id="s2")

    async def test_a_change_is_seen_at_once(self) -> None:
        await self.begin()
        credential = Credential.of(Place.HEADER, token())
        self.assertIn("permission", await self.refusal(credential, session_id="s2"))
        await using(self.store).add(session("s2", user_id="alice"))
        self.access.session_changed("s2")
        await self.grant(credential, session_id="s2")
        await using(self.store).remove("s2")
        self.access.session_changed("s2")
        self.assertIn("permission", await self.refusal(credential, session_id="s2"))

    # A database that is away

    async def test_without_the_database_the_door_stays_shut(self) -> None:
        await self.begin()
        made = await self.link()
        await self.store.close()
        by_link = Credential.of(Place.QUERY, self.access.link_token(made.link).encode())
        for credential in (Credential.of(Place.HEADER, token()), by_link):
            try:
                await self.grant(credential)
                self.fail("granted")
            except AccessUnavailable as error:
                self.assertEqual(error.message, "Cannot check access right now")

    async def test_what_needs_no_database_is_refused_as_ever(self) -> None:
        await self.begin()
        await self.store.close()
        for text, message in (
            (None, "Missing or invalid authorization token"),
            (b"x", "Invalid token"),
            (token(exp=1), "Token has expired"),
        ):
            credentials = [] if text is None else [Credential.of(Place.HEADER, text)]
            self.assertEqual(await self.refusal(*credentials), message)

    async def test_what_was_decided_holds_until_it_expires(self) -> None:
        await self.begin()
        made = await self.link()
        credentials = (
            Credential.of(Place.HEADER, token()),
            Credential.of(Place.QUERY, self.access.link_token(made.link).encode()),
        )
        for credential in credentials:
            await self.grant(credential)
        denied = Credential.of(Place.HEADER, token(sub="bob"))
        await self.store.close()
        self.clock.advance(29)
        for credential in credentials:
            await self.grant(credential)
        self.assertIn("permission", await self.refusal(denied))
        self.clock.advance(2)
        for credential in (*credentials, denied):
            self.assertEqual(await self.refusal(credential), "Cannot check access right now")

    async def test_when_the_database_is_back_so_is_access(self) -> None:
        await self.begin()
        credential = Credential.of(Place.HEADER, token())
        await self.grant(credential)
        await self.store.close()
        self.clock.advance(31)
        self.assertEqual(await self.refusal(credential), "Cannot check access right now")
        await self.store.open()
        self.assertEqual((await self.grant(credential)).user_id, "alice")

    # Links

    async def test_a_link_admits_whoever_holds_it(self) -> None:
        await self.begin()
        made = await self.link()
        credential = Credential.of(Place.QUERY, self.access.link_token(made.link).encode())
        grant = await self.grant(credential)
        self.assertEqual((grant.user_id, list(grant.consumed)), (None, [credential.text]))

    async def test_a_link_made_for_somebody_names_them(self) -> None:
        await self.begin()
        made = await self.link(user_id="carol")
        grant = await self.grant(Credential.of(Place.QUERY, self.access.link_token(made.link).encode()))
        self.assertEqual(grant.user_id, "carol")

    async def test_a_link_is_for_its_own_session(self) -> None:
        await self.begin()
        await using(self.store).add(session("s2", user_id="alice"))
        credential = Credential.of(Place.QUERY, self.access.link_token((await self.link()).link).encode())
        self.assertIn("permission", await self.refusal(credential, session_id="s2"))

    async def test_a_link_ends_by_itself(self) -> None:
        await self.begin()
        credential = Credential.of(Place.QUERY, self.access.link_token((await self.link(ttl=10)).link).encode())
        self.clock.advance(9)
        await self.grant(credential)
        self.clock.advance(1)
        self.assertEqual(await self.refusal(credential), "Token has expired")

    async def test_a_link_is_no_bearer_token_and_no_cookie(self) -> None:
        await self.begin()
        text = self.access.link_token((await self.link()).link).encode()
        for place in (Place.HEADER, Place.PROTOCOL, Place.COOKIE):
            self.assertEqual(await self.refusal(Credential.of(place, text)), "Invalid token")

    async def test_a_token_is_no_cookie_and_a_cookie_no_token(self) -> None:
        await self.begin()
        self.assertEqual(await self.refusal(Credential.of(Place.COOKIE, token())), "Invalid token")
        cookie = await self.cookie(Credential.of(Place.HEADER, token()))
        for place in (Place.HEADER, Place.QUERY, Place.PROTOCOL):
            self.assertEqual(await self.refusal(Credential.of(place, cookie.text)), "Invalid token")

    async def test_where_only_the_owner_may_see_a_link_must_be_the_owners(self) -> None:
        await self.begin()
        for user_id, granted in (("alice", True), ("carol", False), (None, False)):
            made = await self.link(user_id=user_id)
            credential = Credential.of(Place.QUERY, self.access.link_token(made.link).encode())
            if granted:
                self.assertEqual((await self.grant(credential, mode=Mode.OWNER)).user_id, "alice")
            else:
                self.assertIn("permission", await self.refusal(credential, mode=Mode.OWNER))

    async def test_a_revoked_link_is_refused_at_once_and_its_connections_end(self) -> None:
        await self.begin()
        made, other = await self.link(), await self.link()
        credential = Credential.of(Place.QUERY, self.access.link_token(made.link).encode())
        ended: list[str] = []
        for name, found in (("made", made), ("other", other)):
            grant = await self.grant(Credential.of(Place.QUERY, self.access.link_token(found.link).encode()))
            grant.authorization.attach(lambda name=name: ended.append(name))
        await self.links.revoke(ROOT, "s1", made.link.id)
        self.assertEqual(ended, ["made"])
        self.assertEqual(await self.refusal(credential), "Invalid token")
        await self.links.revoke(ROOT, "s1", made.link.id)

    async def test_a_link_is_revoked_under_its_own_session_only(self) -> None:
        await self.begin()
        made = await self.link()
        await self.links.revoke(ROOT, "s2", made.link.id)
        await self.grant(Credential.of(Place.QUERY, self.access.link_token(made.link).encode()))

    async def test_a_link_that_is_revoked_while_it_is_looked_up_is_not_admitted(self) -> None:
        await self.begin()
        made = await self.link()
        credential = Credential.of(Place.QUERY, self.access.link_token(made.link).encode())
        found = self.access.admit("s1", Mode.LINK, [credential])
        told: list[list[str]] = []
        if isinstance(found, Deferred):
            found.addCallback(lambda grant: told.append(self.told(grant)))
        else:
            told.append(self.told(found))
        await self.links.revoke(ROOT, "s1", made.link.id)
        if isinstance(found, Deferred):
            found.addErrback(lambda failure: self.assertEqual(failure.value.message, "Invalid token"))
            await found
        # Refused, or admitted a moment before and told by now.
        self.assertIn(told, ([], [["ended"]]))
        self.assertEqual(await self.refusal(credential), "Invalid token")

    async def test_a_deleted_sessions_links_are_gone_also_for_a_new_one_of_that_id(self) -> None:
        await self.begin()
        credential = Credential.of(Place.QUERY, self.access.link_token((await self.link()).link).encode())
        told = self.told(await self.grant(credential))
        await using(self.store).remove("s1")
        self.access.session_changed("s1")
        self.assertEqual(told, ["ended"])
        await using(self.store).add(session("s1", user_id="bob"))
        self.access.session_changed("s1")
        self.assertEqual(await self.refusal(credential), "Invalid token")

    async def test_keys_change_under_way(self) -> None:
        old, new = b"o" * 40, b"n" * 40
        access = await self.begin(secrets=(old,))
        by_token = Credential.of(Place.HEADER, token(key=old))
        by_link = Credential.of(Place.QUERY, access.link_token((await self.link()).link).encode())
        later = Credential.of(Place.HEADER, token(key=new))
        grants = [await self.grant(by_token), await self.grant(by_link)]
        told = [self.told(grant) for grant in grants]
        self.assertEqual(await self.refusal(later), "Invalid token")
        access.use_keys(Keys((new, old), b"s" * 32))
        for credential in (by_token, by_link, later):
            await self.grant(credential)
        self.assertEqual(([access.holds(grant) for grant in grants], told), ([False, False], [[], []]))
        access.use_keys(Keys((new,), b"s" * 32))
        self.assertEqual(told, [["ended"], ["ended"]])
        for credential in (by_token, by_link):
            self.assertEqual(await self.refusal(credential), "Invalid token")
        await self.grant(later)

    async def test_a_forged_link_is_never_looked_up(self) -> None:
        await self.begin()
        made = (await self.link()).link
        forged = write_link(
            Signer([b"x" * 32], Purpose.LINK), LinkToken(made.session_id, made.id, int(made.expires_at.timestamp()))
        )
        await self.store.close()
        self.assertEqual(await self.refusal(Credential.of(Place.QUERY, forged.encode())), "Invalid token")

    async def test_a_link_outlives_a_restart_and_a_rotated_secret(self) -> None:
        await self.begin()
        credential = Credential.of(Place.QUERY, self.access.link_token((await self.link()).link).encode())
        await self.grant(credential, access=self.new_access())
        await self.grant(credential, access=self.new_access((b"n" * 32, SECRET)))
        self.assertEqual(await self.refusal(credential, access=self.new_access((b"n" * 32,))), "Invalid token")

    async def test_without_a_secret_links_work_and_tokens_do_not(self) -> None:
        await self.begin(secrets=())
        await self.grant(Credential.of(Place.QUERY, self.access.link_token((await self.link()).link).encode()))
        for text in (token(), token(key=b""), token(key=b"s" * 32)):
            self.assertEqual(await self.refusal(Credential.of(Place.HEADER, text)), "Invalid token")

    async def test_a_links_addresses(self) -> None:
        await self.begin()
        made = await self.link()
        text = self.access.link_token(made.link)
        self.assertEqual(made.url, f"http://localhost:4002/previews/s1/?access_token={text}")
        self.assertIsNone(made.host_url, "no port is registered")
        self.registry.registered["s1"] = 3000
        made = await self.link()
        text = self.access.link_token(made.link)
        self.assertEqual(made.host_url, f"http://3000-s1.localhost:4002/?access_token={text}")

    async def test_links_that_are_over_are_swept(self) -> None:
        await self.begin()
        old, fresh = (await self.link(ttl=10)).link, (await self.link()).link
        self.clock.advance(61)
        self.assertIsInstance(await using(self.store).get_link(old.id), Link)
        self.assertEqual(await self.links.sweep(), 1)
        self.assertIsNone(await using(self.store).get_link(old.id))
        self.assertIsInstance(await using(self.store).get_link(fresh.id), Link)

    # Cookies

    async def cookie(self, credential: Credential, session_id: str = "s1") -> Credential:
        """The cookie that a credential is exchanged for."""
        grant = await self.grant(credential, session_id=session_id)
        made = self.access.cookie_for(session_id, grant.holder)
        assert made is not None
        return Credential.of(Place.COOKIE, made[0].encode())

    async def test_a_link_is_exchanged_for_a_cookie_that_is_short_lived(self) -> None:
        await self.begin(cookie_lifetime=900)
        link = Credential.of(Place.QUERY, self.access.link_token((await self.link(user_id="carol")).link).encode())
        cookie = await self.cookie(link)
        self.assertEqual((await self.grant(cookie)).user_id, "carol")
        self.clock.advance(899)
        await self.grant(cookie)
        self.clock.advance(1)
        self.assertEqual(await self.refusal(cookie), "Token has expired")

    async def test_a_cookie_is_renewed_while_it_is_used_up_to_the_links_end(self) -> None:
        await self.begin(cookie_lifetime=900)
        cookie = await self.cookie(
            Credential.of(Place.QUERY, self.access.link_token((await self.link(ttl=3600)).link).encode())
        )
        lifetimes = []
        for _ in range(40):
            self.clock.advance(100)
            try:
                grant = await self.grant(cookie)
            except SandboxError as error:
                self.assertEqual(error.message, "Token has expired")
                break
            renewed = self.access.cookie_for("s1", grant.holder)
            if renewed is not None:
                cookie = Credential.of(Place.COOKIE, renewed[0].encode())
                lifetimes.append(renewed[1])
        self.assertEqual(self.clock.seconds(), NOW + 3600, "neither before nor after the link's end")
        # Renewed once half of its life is over, and for the last time when that reaches the link's end.
        self.assertEqual(lifetimes, [900, 900, 900, 900, 900, 600])

    async def test_a_token_is_exchanged_for_a_cookie_that_ends_with_it(self) -> None:
        await self.begin(cookie_lifetime=900)
        cookie = await self.cookie(Credential.of(Place.QUERY, token(exp=NOW + 100)))
        self.assertEqual((await self.grant(cookie)).user_id, "alice")
        self.clock.advance(100)
        self.assertEqual(await self.refusal(cookie), "Token has expired")

    async def test_a_token_without_an_end_opens_a_preview_for_a_day(self) -> None:
        await self.begin(cookie_lifetime=900)
        cookie = await self.cookie(Credential.of(Place.QUERY, token()))
        grant = await self.grant(cookie)
        self.assertEqual(grant.holder.ends, NOW + 86_400)

    async def test_a_cookie_is_for_its_own_session(self) -> None:
        await self.begin()
        await using(self.store).add(session("s2", user_id="alice"))
        cookie = await self.cookie(Credential.of(Place.QUERY, token()))
        self.assertIn("permission", await self.refusal(cookie, session_id="s2"))

    async def test_a_cookie_ends_with_the_ownership_that_it_stands_for(self) -> None:
        await self.begin()
        cookie = await self.cookie(Credential.of(Place.QUERY, token()))
        await using(self.store).remove("s1")
        await using(self.store).add(session("s1", user_id="bob"))
        self.access.session_changed("s1")
        self.assertIn("permission", await self.refusal(cookie))

    async def test_a_cookie_ends_with_its_link(self) -> None:
        await self.begin()
        made = (await self.link()).link
        cookie = await self.cookie(Credential.of(Place.QUERY, self.access.link_token(made).encode()))
        told = self.told(await self.grant(cookie))
        await self.links.revoke(ROOT, "s1", made.id)
        self.assertEqual(told, ["ended"])
        self.assertEqual(await self.refusal(cookie), "Invalid token")

    async def test_a_stale_cookie_does_not_shadow_a_good_one(self) -> None:
        await self.begin(cookie_lifetime=900)
        stale = await self.cookie(Credential.of(Place.QUERY, token()))
        self.clock.advance(900)
        good = await self.cookie(Credential.of(Place.QUERY, token()))
        self.assertEqual((await self.grant(Credential.of(Place.COOKIE, b"x"), stale, good)).credential, good)

    # Authority

    async def test_what_leans_on_a_token_or_a_link_ends_with_it(self) -> None:
        await self.begin(leeway=5)
        made = (await self.link(ttl=20)).link
        ended: list[str] = []
        for name, credential in (
            ("token", Credential.of(Place.PROTOCOL, token(exp=NOW + 10))),
            ("cookie", await self.cookie(Credential.of(Place.QUERY, self.access.link_token(made).encode()))),
            ("endless", Credential.of(Place.HEADER, token())),
        ):
            grant = await self.grant(credential)
            grant.authorization.attach(lambda name=name: ended.append(name))
        self.clock.pump([1] * 14)
        self.assertEqual(ended, [])
        self.clock.pump([1] * 5)
        self.assertEqual(ended, ["token"])
        self.clock.pump([1] * 5)
        self.assertEqual(ended, ["token", "cookie"])

    async def test_a_refused_request_leaves_nothing_behind(self) -> None:
        await self.begin()
        before = len(self.clock.getDelayedCalls())
        await self.refusal(Credential.of(Place.HEADER, token(sub="bob")))
        self.assertEqual(len(self.clock.getDelayedCalls()), before)

    async def test_denial_names_no_reason(self) -> None:
        await self.begin()
        for session_id, text in (("s1", token(sub="bob")), ("none", token(sub="bob"))):
            try:
                await self.grant(Credential.of(Place.HEADER, text), session_id=session_id)
                self.fail("granted")
            except AccessDenied as error:
                self.assertEqual((error.reason_code, vars(error).keys()), ("ACCESS_DENIED", {"message", "reason_code"}))

    # What holds

    async def test_a_grant_holds_as_long_as_asking_again_gives_the_same(self) -> None:
        await self.begin(cookie_lifetime=900, leeway=5)
        link = Credential.of(Place.QUERY, self.access.link_token((await self.link(ttl=20)).link).encode())
        day = Credential.of(Place.QUERY, self.access.link_token((await self.link(ttl=86_400)).link).encode())
        for name, credential, seconds in (
            ("the owner has to be asked for again", Credential.of(Place.HEADER, token()), 30),
            ("the token expires", Credential.of(Place.HEADER, token(exp=NOW + 10)), 15),
            ("the link ends", link, 20),
            ("the cookie ends with it", await self.cookie(link), 20),
            ("the link has to be asked for again", await self.cookie(day), 30),
        ):
            with self.subTest(name):
                self.access.session_changed("s1")
                self.access.session_changed("s1")
                self.clock.rightNow = float(NOW)
                grant = await self.grant(credential)
                self.clock.advance(seconds - 0.1)
                self.assertTrue(self.access.holds(grant))
                self.clock.advance(0.2)
                self.assertFalse(self.access.holds(grant))

    async def test_a_grant_by_a_cookie_holds_until_the_cookie_is_due(self) -> None:
        await self.begin(cookie_lifetime=40)
        link = Credential.of(Place.QUERY, self.access.link_token((await self.link()).link).encode())
        grant = await self.grant(await self.cookie(link))
        self.clock.advance(19.9)
        self.assertTrue(self.access.holds(grant))
        self.clock.advance(0.2)
        self.assertFalse(self.access.holds(grant))

    async def test_no_grant_outlasts_a_change(self) -> None:
        await self.begin()
        made = (await self.link()).link
        for change in (
            lambda: self.access.session_changed("s1"),
            lambda: self.access.session_changed("s2"),
            lambda: self.access.link_revoked("s1", made.id),
        ):
            grant = await self.grant(Credential.of(Place.HEADER, token()))
            self.assertTrue(self.access.holds(grant))
            change()
            self.assertFalse(self.access.holds(grant))
