"""What is told when Kafka or a client of it fails."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError

from libs.events.broker import told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KafkaConnectionError("no broker at 1"), "KafkaConnectionError: no broker at 1"),
        (OSError("no route"), "OSError: no route"),
    ],
)
def test_a_failure_is_told_with_its_name_once(error: Exception, said: str) -> None:
    assert told(error) == said


def test_a_topic_of_which_the_client_learns_nothing_is_not_told_as_missing_while_kafka_may_be_away() -> None:
    said = told(UnknownTopicOrPartitionError())
    assert said == "nothing is learnt of Kafka's topics: it is away, or one is missing; the next try says which"
