"""What a request may carry: so many bytes, counted while they come in, in time, and under /v1/ JSON in UTF-8."""

from __future__ import annotations

import asyncio
from email.message import Message as MimeMessage

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.service.errors import BodyTooLarge, BodyTooSlow, NotJson, UnsupportedMedia

BODY_BYTES_MAX = 1024 * 1024
BODY_WITHIN_S = 20.0
"""From the request's head to the end of its body: who stops in the middle does not keep a place for ever."""
URL_CHARS_MAX = 8_192
JSON_PREFIX = "/v1/"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Bodies:
    """ASGI middleware in front of every route."""

    def __init__(self, app: ASGIApp, bytes_max: int = BODY_BYTES_MAX) -> None:
        self._app, self._bytes_max = app, bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        _check_url(scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._bytes_max:
            raise BodyTooLarge(self._bytes_max)
        if scope["path"].startswith(JSON_PREFIX) and scope["method"] in _WITH_BODY and has_body(headers):
            require_json(headers)
        seen, until_s, more = 0, asyncio.get_running_loop().time() + BODY_WITHIN_S, True

        async def counted() -> Message:
            nonlocal seen, more
            if not more:
                return await receive()  # waits for the client to go away
            try:
                async with asyncio.timeout_at(until_s):
                    message = await receive()
            except TimeoutError:
                raise BodyTooSlow(BODY_WITHIN_S) from None
            more = message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > self._bytes_max:
                raise BodyTooLarge(self._bytes_max)
            return message

        await self._app(scope, counted, send)


def has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def require_json(headers: Headers, *media_types: str) -> None:
    """Raise UnsupportedMedia unless the content type is one of these (default: application/json), in UTF-8."""
    wanted = media_types or ("application/json",)
    found = headers.get("content-type", "")
    mime = MimeMessage()
    mime["content-type"] = found or "none"
    charset = str(mime.get_param("charset", "utf-8")).lower()
    if mime.get_content_type() not in wanted or not found or charset not in ("utf-8", "utf8"):
        raise UnsupportedMedia(found, wanted)


def _check_url(scope: Scope) -> None:
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    query: bytes = scope["query_string"]
    if len(raw) + len(query) > URL_CHARS_MAX:
        raise NotJson(f"the address is longer than {URL_CHARS_MAX} characters; shorten it")
    # No text that is stored may hold the character 0, so no address can name anything by it.
    if b"%00" in raw or b"%00" in query:
        raise NotJson("the address holds the character 0 (%00); leave it out")
