"""Settings: environment variables with the prefix BATON_, checked once at the start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.service.auth import AUDIENCE, LOCAL_ISSUER
from libs.service.errors import SettingsError, shorten

S = TypeVar("S", bound=BaseSettings)


class Settings(BaseSettings):
    """What one service process is told. Each field is the variable BATON_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="BATON_", frozen=True, extra="ignore")

    database_url: str = Field(description="PostgreSQL, as the service's own role")
    reader_url: str = Field(description="PostgreSQL, as the service's reader role (queries under row-level security)")
    kafka: str = Field(description="bootstrap servers, host:port[,host:port]")
    keys: Path = Field(description="folder with the issuer's public keys")
    state: Path = Field(default=Path(".baton"), description="state folder")
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65535, description="0: any free port")
    http_shared: bool = Field(default=False, description="several processes may listen at the port (SO_REUSEPORT)")
    clock: str = Field(default="real", description="real, or held:<instant with zone>")
    traces: Path | None = Field(default=None, description="folder for span files; none are written without it")
    issuer: str = LOCAL_ISSUER
    audience: str = AUDIENCE
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("clock")
    @classmethod
    def _clock_is_known(cls, value: str) -> str:
        if value != "real":
            _held_instant(value)
        return value

    @property
    def held_at(self) -> datetime | None:
        """The instant at which the domain clock stands still, None when it runs."""
        return None if self.clock == "real" else _held_instant(self.clock)


def _held_instant(value: str) -> datetime:
    kind, _, instant = value.partition(":")
    if kind != "held":
        raise ValueError("say real, or held:2026-03-02T08:00:00+00:00")
    at = datetime.fromisoformat(instant)
    if at.tzinfo is None:
        raise ValueError("the held instant needs a zone, such as +00:00")
    return at


def load() -> Settings:
    """The settings of this process; raises SettingsError naming every variable that is missing or wrong."""
    return read(Settings)


def read(kind: type[S]) -> S:
    """Settings of this kind, such as a service's own; raises SettingsError as `load` does."""
    try:
        return kind()
    except ValidationError as error:
        lines = [_line(kind, str(fault["loc"][0]), fault["msg"], fault.get("input")) for fault in error.errors()]
        raise SettingsError("\n".join(lines)) from error


def _line(kind: type[BaseSettings], name: str, message: str, found: object) -> str:
    variable = name if name.startswith("BATON_") else f"BATON_{name.upper()}"
    known = kind.model_fields.get(name)
    meaning = f" ({known.description})" if known and known.description else ""
    if message == "Field required":
        return f"{variable} is not set{meaning}; set it in the environment (`baton up` does)"
    # Connection strings hold passwords: never show what was found there.
    value = "" if name.endswith(("_url", "_password")) else f"={shorten(found)}"
    return f"{variable}{value}{meaning}: {message}"
