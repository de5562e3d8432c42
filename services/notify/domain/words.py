"""Words: a text with `$name` in it, and parameters. Instants (`…_at`) are written in the reader's time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from string import Template

INSTANT_SUFFIX = "_at"
NOTHING = "—"


def faults_of(text: str, allowed: frozenset[str]) -> list[str]:
    """What is wrong with a text: a `$` that names nothing, or names that the template does not have."""
    template = Template(text)
    if not template.is_valid():
        return ["a $ that is followed by no name (write $$ for a dollar sign)"]
    return [f"${name}" for name in template.get_identifiers() if name not in allowed]


def written(text: str, params: Mapping[str, str], zone: tzinfo) -> str:
    """The text with its parameters put in; what is not known stays as it is written."""
    shown = {name: _shown(name, value, zone) for name, value in params.items()}
    return Template(text).safe_substitute(shown)


def without_words(template: str, params: Mapping[str, str], zone: tzinfo) -> str:
    """A message whose template had no words yet."""
    return f"{template}: " + ", ".join(f"{name}={_shown(name, value, zone)}" for name, value in sorted(params.items()))


def _shown(name: str, value: str, zone: tzinfo) -> str:
    if not value:
        return NOTHING
    if name.endswith(INSTANT_SUFFIX):
        return datetime.fromisoformat(value).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    return value
