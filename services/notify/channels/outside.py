"""What notify is told of the world outside: its mail server, what signs webhooks, which networks they may reach."""

from __future__ import annotations

import re
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.service import issuer, settings

WEBHOOK_KEY = "webhooks"
_SENDER = re.compile(r"[^@\s<>]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def _parts(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_parts)]


class Outside(BaseSettings):
    """Each field is the variable BATON_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="BATON_", frozen=True, extra="ignore")

    keys: Path = Field(description="folder with the key from which the secrets of webhooks derive")
    smtp_host: str = Field(default="", description="the mail server; no e-mail leaves without one")
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = Field(default="", validate_default=True, description="the address that e-mail comes from")
    webhook_networks: Networks = Field(
        default=(), description="networks that webhooks may reach though they are not public, by http as well"
    )

    @field_validator("smtp_from")
    @classmethod
    def _needed_by_the_server(cls, value: str, info: ValidationInfo) -> str:
        if (value or info.data.get("smtp_host")) and not _SENDER.fullmatch(value):
            raise ValueError("with BATON_SMTP_HOST there must be an address such as baton@example.com")
        return value

    def webhook_key(self) -> bytes:
        """Made once; whoever has it can sign in our name."""
        return bytes.fromhex(issuer.secret(self.keys, WEBHOOK_KEY))


@cache
def outside() -> Outside:
    """Of this process, read once."""
    return settings.read(Outside)
