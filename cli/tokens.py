"""`baton token` and `baton secret`: what one needs to knock at the doors of this checkout's platform."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.local.platform import state_dir
from infra.local.secrets import Secrets
from libs.service import issuer
from libs.service.auth import ROLES

SECRETS = ("jira",)


def register(app: typer.Typer) -> None:
    app.command()(token)
    app.command()(secret)


def token(
    role: Annotated[list[str], typer.Option("--role", help=f"one of {', '.join(sorted(ROLES))}; may be repeated")],
    person: Annotated[str, typer.Option("--person", help="staff code of who asks, such as prod-1")],
    tenant: Annotated[str, typer.Option("--tenant")] = "main",
    hours: Annotated[float, typer.Option("--hours", help="how long it holds")] = issuer.TOKEN_HOURS,
) -> None:
    """Print a bearer token of the local issuer, and nothing else. 生成访问令牌。"""
    try:
        print(issuer.token(Secrets(state_dir()).keys, person=person, roles=role, tenant=tenant, hours=hours))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def secret(name: Annotated[str, typer.Argument(help=f"one of {', '.join(SECRETS)}")]) -> None:
    """Print a local secret (such as the one that signs Jira's webhooks), and nothing else. 显示本地密钥。"""
    if name not in SECRETS:
        raise typer.BadParameter(f"NAME={name}: there is no such secret; use {', '.join(SECRETS)}")
    print(issuer.secret(Secrets(state_dir()).keys, name))
