"""Time zones as they are named at the doors."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from libs.events.errors import Unfit


def known_zone(name: str) -> str:
    """The name, which ZoneInfo then takes; raises Unfit for one that nobody knows."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Unfit(
            "must be a time zone's name, such as Asia/Shanghai", "必须是时区名称，例如 Asia/Shanghai"
        ) from error
    return name
