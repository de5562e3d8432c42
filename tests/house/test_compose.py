"""The second way in agrees with the first one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import yaml

from infra.local.artifacts import KAFKA_VERSION
from infra.local.ports import DEFAULT_BASE, Ports
from infra.local.services import ORDER
from tests.engines import KAFKA_IMAGE, POSTGRES_IMAGE
from tests.house.rules import ROOT

COMPOSE = ROOT / "infra" / "compose.yaml"


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return loaded


def test_the_compose_file_is_valid() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(checker, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_every_service_each_with_its_own_database() -> None:
    services = compose()
    assert set(services) == {"kafka", "postgres", "prepare", *ORDER}
    for name in ORDER:
        assert services[name]["command"] == ["python", "-m", f"services.{name}.main"]
        assert services[name]["environment"]["BATON_DATABASE_URL"].endswith(f"/baton_{name}")


def test_it_listens_on_the_loopback_at_the_ports_of_the_native_platform() -> None:
    ports = Ports(DEFAULT_BASE)
    for name in (*ORDER, "kafka", "postgres"):
        (published,) = compose()[name]["ports"]
        assert published.startswith(f"127.0.0.1:{ports.of(name)}:")


def test_it_runs_the_same_versions() -> None:
    services = compose()
    assert services["kafka"]["image"] == KAFKA_IMAGE == f"apache/kafka:{KAFKA_VERSION}"
    assert services["postgres"]["image"] == POSTGRES_IMAGE
