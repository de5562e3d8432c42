"""The examples for other systems, in two languages, against what the journals hold. They know nothing of our code."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from demo.stage import Stage
from infra.local import Platform
from infra.local.platform import project_root
from infra.local.rest import wait_rest
from libs.events import heads
from libs.events.contracts.tasks import case_id
from libs.events.wire import partition_of, record_key
from tests.integration.whole.records import Record, write
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform

EXAMPLES = project_root() / "examples"
PROGRAMS = {
    "python": ("-I", str(EXAMPLES / "read_events.py")),
    "java": ("-m", "infra.local.java", str(EXAMPLES / "ReadEvents.java")),
}
SECONDS_MAX = 180
PARTITIONS = 6
NOBODY = "nobody"
DECIDED = "SELECT type, count(*) FROM journal.entries WHERE decided GROUP BY type"


def ran(program: str, bootstrap: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *PROGRAMS[program], bootstrap],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def counted(printed: str) -> Counter[str]:
    return Counter({type_: int(count) for count, type_ in re.findall(r"^ *(\d+) (\w+\.\w+)$", printed, re.M)})


async def decided(platform: Platform) -> Counter[str]:
    """Facts of each type that their owners have on record."""
    counts: Counter[str] = Counter()
    for name in platform.services:
        connection = await asyncpg.connect(platform.database(name).url)
        try:
            counts.update({row["type"]: row["count"] for row in await connection.fetch(DECIDED)})
        finally:
            await connection.close()
    return counts


async def first_record(bootstrap: str, topic: str) -> Record:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        record = await asyncio.wait_for(consumer.getone(), SECONDS_MAX)
        return Record(record.key.decode(), record.value, dict(record.headers))


@pytest.fixture(scope="module")
def disturbed(platform_told: Platform, stage: Stage, baton: Verbs, case: str) -> Iterator[str]:
    """Kafka's address. On the topic of tasks lie a record that came twice, one of nobody's, and facts after them.

    What the services parked of it is dropped at the end: else nothing is final for the tests that follow.
    """
    bootstrap = platform_told.kafka.bootstrap
    repeated = asyncio.run(first_record(bootstrap, "baton.tasks"))
    write(bootstrap, "baton.tasks", [repeated, Record(repeated.key, b"\xff\x00 no JSON", {"ce_id": "?"})])
    stage.integration("shop").send(
        {
            "specversion": "1.0",
            "id": "after-it",
            "source": "shop",
            "type": "baton.request.received.v1",
            "data": {
                "reference": beside(repeated.key),
                "template": "complaint",
                "category": "quality",
                "title": "scratches",
            },
        }
    )
    wait_rest(stage.doors)
    yield bootstrap
    for each in baton("parked", "list", "--json").told:
        if each["state"] == "parked":
            assert (
                baton("parked", "drop", each["service"], each["id"], "--person", "ops-1", "--json").told["state"]
                == "dropped"
            )
    wait_rest(stage.doors)
    assert baton("parked", "list", "--json").told == []


def beside(key: str) -> str:
    """A reference whose case lies in the partition of this key."""
    wanted = partition_of(key.encode(), PARTITIONS)
    ids = ((str(n), case_id("main", "shop", str(n))) for n in count())
    return next(name for name, case_id in ids if partition_of(record_key("main", case_id), PARTITIONS) == wanted)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_finds_each_fact_of_every_journal_once(
    program: str, disturbed: str, platform_told: Platform
) -> None:
    done = ran(program, disturbed)
    assert done.returncode == 0, done.stderr
    assert counted(done.stdout) == asyncio.run(decided(platform_told))
    told = re.search(r"(\d+) facts of 7 owners; none missing, (\d+) repeated, (\d+) not theirs", done.stdout)
    assert told is not None, done.stdout
    assert int(told[1]) == counted(done.stdout).total()
    assert int(told[2]) >= 1, "the one that came twice"
    assert int(told[3]) >= 1, "the one that is nobody's"


def test_the_examples_tell_what_is_missing_and_read_on_once_it_was_sent_again(
    platform_told: Platform, stage: Stage, case: str
) -> None:
    bootstrap, instant = platform_told.kafka.bootstrap, datetime.now(UTC)
    asyncio.run(create(bootstrap, f"baton.{NOBODY}"))
    write(bootstrap, f"baton.{NOBODY}", [spoken(number) for number in (1, 2, 4, 5)])
    announce(bootstrap, heads.Head(NOBODY, 1, instant, {0: 5}))
    try:
        for program in PROGRAMS:
            done = ran(program, bootstrap)
            assert done.returncode == 1, program
            assert f"/baton/{NOBODY}: 3 is missing before 4; seen up to 2" in done.stderr
        write(bootstrap, f"baton.{NOBODY}", [spoken(number) for number in (3, 4, 5)])
        for program in PROGRAMS:
            done = ran(program, bootstrap)
            assert done.returncode == 0, done.stderr
            assert counted(done.stdout)[f"{NOBODY}.Spoke"] == 5, program
    finally:
        announce(bootstrap, heads.Head(NOBODY, 1, instant, {}))


def spoken(number: int) -> Record:
    link = {"ce_id": str(number), "ce_sequence": str(number), "ce_previous": str(number - 1), "ce_epoch": "1"}
    return Record("k", b"{}", link | {"ce_source": f"/baton/{NOBODY}", "ce_type": f"{NOBODY}.Spoke"})


def announce(bootstrap: str, head: heads.Head) -> None:
    write(bootstrap, heads.TOPIC, [Record(head.owner, msgspec.json.encode(head), {})])


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
