"""Every error of the kernel, and which of them a caller may try again.

BatonError
├── Refusal                 a rule says no; the same command will be refused again
│   ├── Forbidden           … because of who asks
│   └── NotFound            … because there is no such thing
├── VersionConflict         somebody was faster; load again and retry
├── CommandReused           the same key came with another payload
├── Undecodable             bytes, type or version that no contract here can read
├── LeadershipLost          another process works at this role by now; nothing was written
└── Unavailable             a bounded queue is full or a part is away; retry after `retry_after_s`
    ├── NotYet              the view has not reached the position that was asked for
    └── Diverged            journal and topic tell different stories; nothing is written until a person decides
"""

import msgspec

ILLEGIBLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading the bytes of others may raise: broken JSON, text that is no UTF-8, arrays nested without end."""


class BatonError(Exception):
    """Base of everything that the kernel raises on purpose. `zh`: the same in Chinese, where people at work meet it."""

    zh: str | None = None


class Unfit(ValueError):
    """A value that does not fit where it stands, for validators of fields; both texts say what would."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.zh = zh


class Refusal(BatonError):
    """A business rule forbids the command. `rule` is stable and names the rule; both texts are for people."""

    zh: str

    def __init__(self, rule: str, en: str, zh: str) -> None:
        super().__init__(f"{rule}: {en}")
        self.rule, self.en, self.zh = rule, en, zh


class Forbidden(Refusal):
    """The rule is about who asks: a role or a RACI seat that the actor does not hold."""


class NotFound(Refusal):
    """There is no such thing in this tenant."""


class VersionConflict(BatonError):
    """The stream moved on: `expected` was asked for, `actual` is what stands."""

    def __init__(self, stream: object, expected: int, actual: int) -> None:
        super().__init__(
            f"it is at version {actual} by now, not {expected}: somebody changed it; load it again and retry"
        )
        self.zh = f"当前版本为 {actual}，而不是 {expected}：内容已被他人更改，请重新加载后再试"
        self.stream, self.expected, self.actual = stream, expected, actual


class CommandReused(BatonError):
    """An idempotency key was used before with another payload."""

    def __init__(self, command_id: object) -> None:
        super().__init__(f"command {command_id} was accepted before with another payload; use a new Idempotency-Key")
        self.command_id = command_id


class Undecodable(BatonError):
    """A record that this service cannot read. `field` names what is wrong with it, `cure` what would help."""

    def __init__(self, field: str, value: object, cure: str) -> None:
        super().__init__(f"{field}={value!r}: {cure}")
        self.field, self.value, self.cure = field, value, cure


class LeadershipLost(BatonError):
    """This process lost the lock of a role of which there is one at a time; it stands by again."""


class Unavailable(BatonError):
    """Nothing was written; the same command may be sent again after `retry_after_s` seconds."""

    def __init__(self, what: str, retry_after_s: int = 1) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class NotYet(Unavailable):
    """A view did not reach the asked position within its bound."""


class Diverged(Unavailable):
    """Journal and topic tell different stories (a restored backup): see docs/operating.md. Nothing is wrong with who
    asks, but trying again only helps after a person has mended it.
    """

    def __init__(self, what: str, retry_after_s: int = 60) -> None:
        super().__init__(what, retry_after_s)
