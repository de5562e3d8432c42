"""What notify says: which message went to whom, because of what, and what came of sending it out into the world."""

from __future__ import annotations

from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact, Instant


class TextPublished(Fact, frozen=True):
    """The words of a template, `$name` standing for the parameter of that name. Posted messages keep their version."""

    template: str
    version: int
    en: str
    zh: str


class MessagePosted(Fact, frozen=True):
    """A message in somebody's inbox. `because` names the rule (a RACI seat, a rung), `cause` the event behind it.

    `template_version` 0: nobody had published words for it yet.
    """

    message: UUID
    to: str
    template: str
    params: dict[str, str]
    because: str
    cause: UUID
    case_id: UUID | None = None
    template_version: int = 0


class MessageAcknowledged(Fact, frozen=True):
    """Whom `message` was posted to has seen it."""

    message: UUID


class ChannelChosen(Fact, frozen=True):
    """Beside the inbox, messages also go to `person` by `channel` (`email`, `webhook`), to this address.

    `choice` is the id of person, channel and address; what signs webhooks derives from it. Instants are written in
    the time zone `zone`.
    """

    person: str
    channel: str
    address: str
    choice: UUID
    zone: str = "UTC"


class ChannelDropped(Fact, frozen=True):
    """From now on nothing goes to `person` by `channel`. `because` is empty where a person decided it."""

    person: str
    channel: str
    because: str = ""


class DeliveryPlanned(Fact, frozen=True):
    """`message` is to be sent to `to` by `channel` as well."""

    delivery: UUID
    message: UUID
    to: str
    channel: str


class DeliveryAttempted(Fact, frozen=True):
    """Attempt number `attempt` begins: nothing was sent before this was on record.

    Without an outcome by `deadline` (of the machine's clock) it is unknown.
    """

    delivery: UUID
    attempt: int
    deadline: Instant


class DeliveryArrived(Fact, frozen=True):
    """The other side took it, and said this."""

    delivery: UUID
    attempt: int
    receipt: str


class DeliveryFailed(Fact, frozen=True):
    """Nothing came of the attempt. `next_at`: of the next one, none where it is given up.

    `gone`: the choice of which the other side said that it is no more.
    """

    delivery: UUID
    attempt: int
    reason: str
    next_at: Instant | None = None
    gone: UUID | None = None


class DeliveryUnknown(Fact, frozen=True):
    """Nobody can say whether the attempt arrived. `next_at`: when it is sent again, with the same id; none where that
    might be a double that the receiver sees: then a person decides.
    """

    delivery: UUID
    attempt: int
    reason: str
    next_at: Instant | None = None


class DeliveryRepeated(Fact, frozen=True):
    """A person decided that it is sent again, whatever came of it so far."""

    delivery: UUID


CONTRACT = Contract(
    "notify",
    (
        Kind("TextPublished", 1, TextPublished),
        Kind("MessagePosted", 1, MessagePosted, personal=("params",)),
        Kind("MessageAcknowledged", 1, MessageAcknowledged),
        Kind("ChannelChosen", 1, ChannelChosen, personal=("address",)),
        Kind("ChannelDropped", 1, ChannelDropped),
        Kind("DeliveryPlanned", 1, DeliveryPlanned),
        Kind("DeliveryAttempted", 1, DeliveryAttempted),
        Kind("DeliveryArrived", 1, DeliveryArrived, personal=("receipt",)),
        Kind("DeliveryFailed", 1, DeliveryFailed, personal=("reason",)),
        Kind("DeliveryUnknown", 1, DeliveryUnknown, personal=("reason",)),
        Kind("DeliveryRepeated", 1, DeliveryRepeated),
    ),
)
