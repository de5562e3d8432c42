"""Every error as problem+json (RFC 9457), by one table from error class to status and stable `type`.

Guard is the one place where an exception becomes an answer, whichever layer raised it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.events import errors as kernel
from libs.events.line import TRANSIENT
from libs.service import errors
from libs.service.auth import OPEN_PATHS
from libs.service.cures import faults_of
from libs.service.errors import Fault, shorten
from libs.service.rows import schema_of

MEDIA_TYPE = "application/problem+json"
URN = "urn:baton:problem:"
RETRY_AFTER_S = 1
REQUESTS_AT_ONCE_MAX = 512
"""Whoever asks how the service is gets an answer beyond that, too."""

_log = logging.getLogger("baton.problems")


@dataclass(frozen=True, slots=True)
class Sort:
    """One row of the table: error class, status, the name that ends its `type`, its title in two languages."""

    error: type[BaseException]
    status: int
    name: str
    title: str
    title_zh: str


# The most special class that fits is taken, whatever the order here.
TABLE: tuple[Sort, ...] = (
    Sort(errors.NotJson, 400, "not-json", "The request cannot be read as JSON", "请求不是有效的 JSON"),
    Sort(errors.Unauthenticated, 401, "unauthenticated", "A valid token is needed", "需要有效的令牌"),
    Sort(errors.RoleNeeded, 403, "role-needed", "The token lacks a role", "令牌缺少所需角色"),
    Sort(errors.Unsigned, 401, "signature-wrong", "The signature does not hold", "签名无效"),
    Sort(kernel.Forbidden, 403, "forbidden", "A rule forbids this to you", "规则不允许您这样做"),
    Sort(kernel.NotFound, 404, "not-found", "There is no such thing", "不存在"),
    Sort(kernel.Refusal, 409, "refused", "A rule forbids this now", "规则目前不允许此操作"),
    Sort(kernel.VersionConflict, 409, "version-conflict", "Somebody was faster", "内容已被他人更改"),
    Sort(
        errors.UnsupportedMedia, 415, "unsupported-media-type", "This content type is not read here", "不支持此内容类型"
    ),
    Sort(errors.WrongShape, 422, "wrong-shape", "The request has the wrong shape", "请求格式有误"),
    Sort(kernel.CommandReused, 422, "command-reused", "The idempotency key was used before", "幂等键已被用于其他内容"),
    Sort(
        errors.EventReused, 422, "event-reused", "The event came before with other content", "该事件编号已用于其他内容"
    ),
    Sort(kernel.Undecodable, 422, "undecodable", "This type or content cannot be read here", "无法读取此类型或内容"),
    Sort(kernel.Unavailable, 503, "unavailable", "Try again soon", "暂时不可用，请稍后重试"),
    Sort(kernel.NotYet, 503, "not-yet", "The view has not got there yet", "数据尚未更新到所需进度，请稍后重试"),
    Sort(kernel.LeadershipLost, 503, "unavailable", "Try again soon", "暂时不可用，请稍后重试"),
    Sort(kernel.Diverged, 503, "diverged", "Writing has stopped until a person decides", "已停止写入，等待人工处理"),
)
_BY_STATUS = {
    400: ("bad-request", "The request cannot be read", "无法读取请求"),
    404: ("not-found", "There is no such thing", "不存在"),
    405: ("method-not-allowed", "This address does not take this method", "此地址不支持该方法"),
    408: ("body-too-slow", "The body did not come in time", "请求内容未及时送达"),
    413: ("body-too-large", "The body is too large", "请求内容过大"),
}
_ADDRESS_CURES = {
    404: "is no address here; GET /openapi.json lists them",
    405: "is not taken; GET /openapi.json lists what this address takes",
}
_LEGIBLE_ZH = "无法读取，请按契约更正后重新发送"
_BUG = Sort(Exception, 500, "bug", "This is a fault of ours", "系统内部错误")
_AWAY_SORT = Sort(kernel.Unavailable, 503, "unavailable", "Try again soon", "暂时不可用，请稍后重试")
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "how to show who asks", "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "seconds to wait before asking again", "schema": {"type": "integer"}}},
}
# The database is away, starting, stopping or too slow: nothing is wrong with the request.
# (Any other OSError, such as a file that is not there, is a fault of ours.)
AWAY: tuple[type[Exception], ...] = (
    ConnectionError,
    *(each for each in TRANSIENT if each is not OSError),
    kernel.Unavailable,
)


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of every answer that is not a success."""

    type: str
    title: str
    title_zh: str
    status: int
    detail: str
    detail_zh: str | None = None
    rule: str | None = None
    version: int | None = None
    faults: list[Fault] | None = None
    retry_after_s: int | None = None
    trace_id: str | None = None


def problem_of(error: BaseException) -> Problem:
    """What the caller is told about this error. A bug tells nothing but its trace id."""
    if isinstance(error, RequestValidationError):
        return problem_of(_translated(error))
    if isinstance(error, HTTPException):
        return _of_status(error)
    sort = _sort_of(type(error))
    if sort is None and isinstance(error, AWAY):
        return _problem(_AWAY_SORT, "a part that this needs is away; try again", retry_after_s=RETRY_AFTER_S)
    if sort is None:
        return _problem(_BUG, "it is logged under this trace id")
    problem = _problem(sort, str(error))
    if isinstance(error, kernel.BatonError):
        problem.detail_zh = error.zh
    match error:
        case errors.Contradicted():
            problem.detail, problem.rule, problem.faults = error.en, error.rule, list(error.faults)
        case kernel.Refusal():
            problem.detail, problem.rule = error.en, error.rule
        case kernel.VersionConflict():
            problem.version = error.actual
        case errors.WrongShape():
            problem.faults = list(error.faults)
        case kernel.Undecodable():
            problem.faults = [Fault(error.field, error.cure, _LEGIBLE_ZH, error.value)]
        case kernel.Unavailable():
            problem.retry_after_s = max(error.retry_after_s, 1)
    return problem


def respond(error: BaseException) -> Response:
    """The answer to this error."""
    problem = problem_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.headers:
        headers.update(error.headers)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = f'{error.scheme} realm="baton"'
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    return Response(msgspec.json.encode(problem), problem.status, headers, media_type=MEDIA_TYPE)


def schema() -> dict[str, Any]:
    """The JSON schema of Problem, complete in itself."""
    return schema_of(Problem)


def answer(status: int) -> dict[str, Any]:
    """How an answer with this status is described; its `type` is one of these."""
    names = sorted({URN + sort.name for sort in TABLE if sort.status == status} | _plain_type(status))
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    described = {"description": "; ".join(names), "content": {MEDIA_TYPE: reference}}
    return described | ({"headers": _HEADERS[status]} if status in _HEADERS else {})


def _plain_type(status: int) -> set[str]:
    return {URN + _BY_STATUS[status][0]} if status in _BY_STATUS else set()


async def handle(request: Request, error: Exception) -> Response:
    """For the errors that the framework answers itself (a wrong shape, an unknown path)."""
    if isinstance(error, HTTPException) and error.status_code in _ADDRESS_CURES and type(error) is HTTPException:
        found = f"{request.method} {shorten(request.url.path)}"
        error = HTTPException(error.status_code, f"{found} {_ADDRESS_CURES[error.status_code]}", error.headers)
    return respond(error)


class Guard:
    """ASGI middleware: bounds how many requests run at once, turns what they raise into answers, logs what is ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sender(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        self._running += 1
        try:
            if self._running > REQUESTS_AT_ONCE_MAX and scope["path"] not in OPEN_PATHS:
                raise kernel.Unavailable(f"more than {REQUESTS_AT_ONCE_MAX} requests at once; try again", RETRY_AFTER_S)
            await self._app(scope, receive, sender)
        except ClientDisconnect:
            _log.info("the client went away", extra={"path": scope["path"]})
        except Exception as error:
            response = respond(error)
            if response.status_code >= 500:
                _log_failure(error, response.status_code, scope["path"])
            if started:
                raise  # half an answer is out: the connection must break
            await response(scope, receive, send)
        finally:
            self._running -= 1


def _log_failure(error: Exception, status: int, path: str) -> None:
    """A stack says where; what the kernel raises on purpose says why."""
    name, extra = type(error).__name__, {"path": path}
    if isinstance(error, kernel.BatonError):
        _log.warning("request failed: %s: %s", name, error, extra=extra)
    else:
        level = logging.ERROR if status == 500 else logging.WARNING
        _log.log(level, "request failed: %s", name, exc_info=error, extra=extra)


def _sort_of(error: type[BaseException]) -> Sort | None:
    by_class = {sort.error: sort for sort in TABLE}
    return next((by_class[cls] for cls in error.__mro__ if cls in by_class), None)


def _problem(sort: Sort, detail: str, *, retry_after_s: int | None = None) -> Problem:
    return Problem(
        type=URN + sort.name,
        title=sort.title,
        title_zh=sort.title_zh,
        status=sort.status,
        detail=detail,
        retry_after_s=retry_after_s,
        trace_id=_trace_id(),
    )


def _of_status(error: HTTPException) -> Problem:
    name, title, title_zh = _BY_STATUS.get(error.status_code, (f"http-{error.status_code}", error.detail, error.detail))
    return _problem(Sort(type(error), error.status_code, name, title, title_zh), error.detail)


def _translated(error: RequestValidationError) -> errors.NotJson | errors.WrongShape:
    """The framework's own validation error in our words."""
    found: Iterable[Mapping[str, Any]] = error.errors()
    for fault in found:
        if fault["type"] == "json_invalid":
            where = fault["loc"][-1]
            return errors.NotJson(f"the body is not JSON: {fault['ctx']['error']} at character {where}")
    return errors.WrongShape(faults_of(found))


def _trace_id() -> str | None:
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
