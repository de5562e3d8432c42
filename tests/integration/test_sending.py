"""notify's messages out in the world: a mail server and a receiver of webhooks, with what came of it on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from infra.local.databases import Database
from libs.events.contract import Language
from libs.events.contracts import directory, tasks
from libs.events.contracts import notify as contract
from libs.events.contracts.directory import ContactNamed
from libs.events.contracts.notify import DeliveryAttempted, DeliveryFailed, DeliveryPlanned, DeliveryUnknown
from libs.events.contracts.tasks import CaseClosed, CaseOpened
from libs.events.entries import Fact, new_id
from services.notify.api import of_this_process, router
from services.notify.channels.webhook import secret_of
from services.notify.commands import (
    EMAIL,
    WEBHOOK,
    ChooseChannel,
    PostMessage,
    RepeatDelivery,
    delivery_id,
    message_id,
)
from services.notify.domain.delivery import POLICIES
from services.notify.main import SERVICE
from services.notify.views.channels import CHANNELS
from services.notify.views.deliveries import DELIVERIES, EMAILS, Delivery
from tests.integration.doors import Standing, doors
from tests.integration.errands_service import Errands, now, until
from tests.integration.notify_service import notify
from tests.integration.postcards_service import process, sending
from tests.integration.receivers import HOST, MUTE, MailServer, Receiver, mail_server, outside, receiver
from tests.integration.said import heard

pytestmark = pytest.mark.platform
LANGUAGE = Language((contract.CONTRACT,))
PERSON, ADDRESS = "svc-1", "svc-1@example.com"


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with mail_server() as found:
        yield found


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as found:
        yield found


async def choose(running: Errands, by: str, address: str) -> None:
    await running.ask(ChooseChannel(person=PERSON, channel=by, address=address))


async def posted(running: Errands, by: str) -> UUID:
    """A message to PERSON; its delivery by this channel."""
    cause = new_id()
    message = message_id(cause, PERSON, "case-closed")
    await running.ask(
        PostMessage(
            message=message,
            to=PERSON,
            template="case-closed",
            params={"title": "veneer blisters", "reference": "STORY1", "process": "complaint", "outcome": "solved"},
            because="contact of service: holds the case",
            cause=cause,
            case_id=new_id(),
        )
    )
    return delivery_id(message, by)


async def seen(running: Errands, by: str, delivery: UUID) -> Delivery | None:
    row: Delivery | None = await running.reader.row(DELIVERIES[by], delivery, tenant="main")
    return row


async def until_state(running: Errands, by: str, delivery: UUID, state: str, attempt: int | None = None) -> Delivery:
    found: list[Delivery] = []

    async def reached() -> bool:
        row = await seen(running, by, delivery)
        found[:] = [row] if row and row.state == state and attempt in (None, row.attempt) else []
        return bool(found)

    await until(reached, f"the {by} is {state}")
    return found[0]


async def facts(running: Errands, delivery: UUID, kind: type[Fact]) -> list[Any]:
    """What is on record about one delivery."""
    decoded = [LANGUAGE.decode(e.type, e.schema_version, e.data) for e in await running.journal.read(0, 1_000)]
    return [fact for fact in decoded if isinstance(fact, kind) and getattr(fact, "delivery", None) == delivery]


async def test_a_message_goes_by_mail_and_by_webhook_once(
    database: Database, mail: MailServer, hook: Receiver, tmp_path: Path
) -> None:
    told = outside(tmp_path, mail.port)
    async with notify(database, told) as (running, courier), running.working(), sending(courier):
        await choose(running, EMAIL, ADDRESS)
        await choose(running, WEBHOOK, f"http://{HOST}:{hook.port}/")
        by_mail = await posted(running, EMAIL)
        assert (await until_state(running, EMAIL, by_mail, "arrived")).said == "250 taken"
        (planned,) = await facts(running, by_mail, DeliveryPlanned)
        by_webhook = delivery_id(planned.message, WEBHOOK)
        assert (await until_state(running, WEBHOOK, by_webhook, "arrived")).said == "answered 200"
        chosen = await running.reader.row(CHANNELS, (PERSON, WEBHOOK), tenant="main")
        assert await courier.waiting() == await courier.under_way() == 0
    assert chosen is not None
    ((headers, body),) = hook.came
    read = Webhook(secret_of(told.webhook_key(), chosen.choice)).verify(body, headers)
    assert (read["data"]["message"], hook.ids) == (str(planned.message), [str(by_webhook)])
    (message,) = mail.came
    assert (message["To"], message["Message-ID"]) == (ADDRESS, f"<{by_mail}@example.org>")


async def test_an_e_mail_whose_sender_was_killed_is_unknown_and_not_doubled_until_a_person_says_so(
    database: Database, mail: MailServer, tmp_path: Path
) -> None:
    mail.answers = [MUTE, "250 taken"]
    delivery = await killed_while_sending(database, EMAIL, ADDRESS, mail, tmp_path)
    assert len(mail.came) == 1
    told = outside(tmp_path, mail.port)
    async with notify(database, told) as (running, courier), running.working(), sending(courier):
        row = await until_state(running, EMAIL, delivery, "unknown")
        assert (row.due_at, row.said.partition(" by ")[0]) == (None, "no outcome was recorded")
        assert await courier.waiting() == await courier.under_way() == 0
        sentinel = await posted(running, EMAIL)
        await until_state(running, EMAIL, sentinel, "arrived")
        assert len(mail.came) == 2, "nothing of the unknown one was sent again"
        await running.ask(RepeatDelivery(delivery=delivery, case_id=row.case_id))
        assert (await until_state(running, EMAIL, delivery, "arrived")).attempt == 2
    first, _, again = (message["Message-ID"] for message in mail.came)
    assert first == again == f"<{delivery}@example.org>"


async def test_a_webhook_whose_sender_was_killed_is_sent_again_with_the_same_id(
    database: Database, mail: MailServer, hook: Receiver, tmp_path: Path
) -> None:
    hook.answers = [MUTE, "200 OK"]
    delivery = await killed_while_sending(database, WEBHOOK, f"http://{HOST}:{hook.port}/", hook, tmp_path)
    assert hook.ids == [str(delivery)]
    async with notify(database, outside(tmp_path)) as (running, courier), running.working(), sending(courier):
        row = await until_state(running, WEBHOOK, delivery, "unknown")
        assert (row.attempt, row.due_at is not None) == (2, True)
        await until_state(running, WEBHOOK, delivery, "arrived", attempt=2)
        assert len(await facts(running, delivery, DeliveryUnknown)) == 1
    assert hook.ids == [str(delivery)] * 2


async def killed_while_sending(
    database: Database, by: str, address: str, there: MailServer | Receiver, keys: Path
) -> UUID:
    """A message leaves from a process of its own, which is killed when it has come and before anybody said so."""
    told = {
        "NOTIFY_URL": database.url,
        "NOTIFY_READER_URL": database.reader_url,
        "BATON_KEYS": str(keys),
        "BATON_SMTP_HOST": HOST,
        "BATON_SMTP_PORT": str(there.port),
        "BATON_SMTP_TLS": "none",
        "BATON_SMTP_FROM": "baton@example.org",
        "BATON_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }
    async with notify(database, outside(keys)) as (running, _):
        await choose(running, by, address)
        await running.settle()
        async with process("tests.integration.notify_service", **told) as other:
            delivery = await posted(running, by)

            async def came() -> bool:
                return bool(there.came)

            await until(came, f"the {by} has left")
            other.kill()
            await other.wait()
    return delivery


async def test_a_receiver_that_fails_once_has_it_the_second_time_with_the_same_id(
    database: Database, hook: Receiver, tmp_path: Path
) -> None:
    hook.answers = ["500 no", "200 OK"]
    async with notify(database, outside(tmp_path)) as (running, courier), running.working(), sending(courier):
        await choose(running, WEBHOOK, f"http://{HOST}:{hook.port}/")
        delivery = await posted(running, WEBHOOK)
        assert (await until_state(running, WEBHOOK, delivery, "waiting", attempt=2)).said == "answered 500"
        await until_state(running, WEBHOOK, delivery, "arrived")
        (failed,) = await facts(running, delivery, DeliveryFailed)
        assert failed.reason == "answered 500"
    assert hook.ids == [str(delivery)] * 2


@pytest.mark.parametrize("by", [EMAIL, WEBHOOK])
async def test_a_dead_receiver_is_given_up_after_the_policys_attempts_and_shown(
    by: str, database: Database, tmp_path: Path
) -> None:
    address = ADDRESS if by == EMAIL else f"http://{HOST}:9/"
    async with notify(database, outside(tmp_path, 9)) as (running, courier):
        await running.clock.hold(now())
        await running.clock.fire()
        async with running.working(), sending(courier):
            await choose(running, by, address)
            delivery = await posted(running, by)
            began = (await running.clock.read()).now
            for attempt, wait_s in enumerate(POLICIES[by].waits_s, start=2):
                row = await until_state(running, by, delivery, "waiting", attempt=attempt)
                at = (await running.clock.read()).now
                assert row.due_at == at + timedelta(seconds=wait_s)
                await running.clock.hold(row.due_at)
                await running.clock.fire()
            row = await until_state(running, by, delivery, "failed")
            assert row.attempt == len(POLICIES[by].waits_s) + 1
            assert row.said.startswith("the mail server is away" if by == EMAIL else "nobody answers")
            assert len(await facts(running, delivery, DeliveryAttempted)) == row.attempt
            assert (await running.clock.read()).now - began == timedelta(seconds=sum(POLICIES[by].waits_s))
            assert (await courier.waiting(), await courier.next_due()) == (0, None)


async def test_a_receiver_that_is_gone_is_left_alone(database: Database, hook: Receiver, tmp_path: Path) -> None:
    hook.answers = ["410 Gone"]
    async with notify(database, outside(tmp_path)) as (running, courier), running.working(), sending(courier):
        await choose(running, WEBHOOK, f"http://{HOST}:{hook.port}/")
        delivery = await posted(running, WEBHOOK)
        await until_state(running, WEBHOOK, delivery, "failed")

        async def dropped() -> bool:
            return await running.reader.row(CHANNELS, (PERSON, WEBHOOK), tenant="main") is None

        await until(dropped, "the channel is dropped")
    assert len(hook.came) == 1


async def test_our_own_network_gets_nothing_unless_the_settings_allow_it(
    database: Database, hook: Receiver, tmp_path: Path
) -> None:
    told = outside(tmp_path, webhook_networks=())
    async with notify(database, told) as (running, courier), running.working(), sending(courier):
        await choose(running, WEBHOOK, f"http://{HOST}:{hook.port}/")
        row = await until_state(running, WEBHOOK, await posted(running, WEBHOOK), "failed")
        assert (row.attempt, "is not public" in row.said) == (1, True)
    assert hook.came == []


@pytest.fixture
async def door(database: Database, mail: MailServer, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SERVICE, router, tmp_path) as standing:
        standing.app.dependency_overrides[of_this_process] = lambda: outside(tmp_path, mail.port)
        yield standing


async def call(door: Standing, method: str, path: str, person: str, role: Any = "frontend", **more: Any) -> Any:
    return await door.client.request(method, path, headers=door.bearer(role, person=person), **more)


async def test_a_person_chooses_channels_and_gets_the_secret_and_nobody_else_does(door: Standing) -> None:
    for by, address in ((EMAIL, ADDRESS), (WEBHOOK, "https://example.com/hook")):
        body = {"address": address, "zone": "Asia/Shanghai"}
        answer = await call(door, "POST", f"/v1/channels/{by}", PERSON, json=body)
        assert answer.json()["facts"] == ["notify.ChannelChosen"], answer.text
    after = {"after": await door.parts.journal.position()}
    rows = (await call(door, "GET", "/v1/channels", PERSON, params=after)).json()["rows"]
    assert [(row["channel"], row["address"], row["zone"]) for row in rows] == [
        (EMAIL, ADDRESS, "Asia/Shanghai"),
        (WEBHOOK, "https://example.com/hook", "Asia/Shanghai"),
    ]
    secret = (await call(door, "GET", "/v1/channels/webhook/secret", PERSON)).json()["secret"]
    assert secret.startswith("whsec_")
    journal = b"".join(entry.data for entry in await door.parts.journal.read(0, 100))
    assert secret.removeprefix("whsec_").encode() not in journal, "no secret is on record"
    assert (await call(door, "GET", "/v1/channels/webhook/secret", "ops-1", "ops")).status_code == 404
    other = {"params": {"person": PERSON}}
    refused = await call(door, "GET", "/v1/channels", "prod-1", **other)
    assert (refused.status_code, refused.json()["rule"]) == (403, "own-channels-only")
    assert len((await call(door, "GET", "/v1/channels", "ops-1", "ops", **other)).json()["rows"]) == 2
    removed = await call(door, "POST", "/v1/channels/webhook/removal", PERSON)
    assert removed.json()["facts"] == ["notify.ChannelDropped"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("email", {"address": "nobody"}, 409),
        ("email", {"address": ADDRESS, "zone": "Mars/Base"}, 422),
        ("webhook", {"address": "ftp://example.com"}, 409),
        ("pigeon", {"address": "roof"}, 422),
        (f"email?person={'x' * 200}", {"address": ADDRESS}, 422),
    ],
)
async def test_what_cannot_be_reached_is_refused_at_the_door(
    path: str, body: dict[str, str], status: int, door: Standing
) -> None:
    answer = await call(door, "POST", f"/v1/channels/{path}", PERSON, json=body)
    assert answer.status_code == status, answer.text


async def test_deliveries_are_shown_to_their_person_and_repeated_by_ops(door: Standing) -> None:
    await choose(door.parts, EMAIL, ADDRESS)
    delivery = await posted(door.parts, EMAIL)
    await until_state(door.parts, EMAIL, delivery, "waiting")
    mine = (await call(door, "GET", "/v1/deliveries/email", PERSON)).json()["rows"]
    assert [(row["delivery"], row["state"]) for row in mine] == [(str(delivery), "waiting")]
    assert (await call(door, "GET", "/v1/deliveries/email", "prod-1")).json()["rows"] == []
    assert (await call(door, "GET", "/v1/deliveries/email", "prod-1", params={"to": PERSON})).status_code == 403
    asked = await call(door, "GET", "/v1/deliveries/email", "aud-1", "auditor", params={"state": "waiting"})
    assert len(asked.json()["rows"]) == 1
    path = f"/v1/deliveries/email/{delivery}/repetition"
    assert (await call(door, "POST", path, PERSON)).status_code == 403
    refused = await call(door, "POST", path, "ops-1", "ops")
    assert (refused.status_code, refused.json()["rule"]) == (409, "nothing-to-repeat")
    unknown = await call(door, "POST", f"/v1/deliveries/email/{UUID(int=1)}/repetition", "ops-1", "ops")
    assert unknown.status_code == 404


async def test_what_was_said_before_we_listened_wakes_nobody(
    database: Database, mail: MailServer, tmp_path: Path
) -> None:
    async with notify(database, outside(tmp_path, mail.port)) as (running, courier), running.working():
        await choose(running, EMAIL, ADDRESS)
        contact = ContactNamed("service", "*", PERSON)
        await running.journal.hear((heard(*directory.CONTRACT.encode(contact), now(), backfilled=True),))
        for case, backfilled in ((UUID(int=1), True), (UUID(int=2), False)):
            opened = CaseOpened(case, "crm", str(case), "complaint", 1, "quality", "normal", "x", {}, "service")
            for fact in (opened, CaseClosed("solved")):
                await running.journal.hear(
                    (heard(*tasks.CONTRACT.encode(fact), now(), subject=case, backfilled=backfilled),)
                )
        async with sending(courier):

            async def arrived() -> bool:
                page = await running.reader.page(EMAILS, tenant="main", equal={"state": "arrived"}, limit=10)
                return len(page.rows) == 1

            await until(arrived, "what was said since is sent")
        assert {row.case_id for row in (await running.reader.page(EMAILS, tenant="main", limit=10)).rows} == {
            UUID(int=2)
        }
    assert len(mail.came) == 1
