from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.service import settings
from libs.service.errors import SettingsError

GOOD = {
    "BATON_DATABASE_URL": "postgresql://tasks:s3cret@127.0.0.1:5432/baton_tasks",
    "BATON_READER_URL": "postgresql://tasks_reader:s3cret@127.0.0.1:5432/baton_tasks",
    "BATON_KAFKA": "127.0.0.1:9092",
    "BATON_KEYS": "keys",
    "BATON_HTTP_PORT": "8001",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("BATON_CLOCK", "BATON_TRACES", "BATON_STATE", "BATON_HTTP_HOST", "BATON_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BATON_CLOCK", "held:2026-11-02T09:40:00+08:00")
    found = settings.load()
    assert (found.kafka, found.http_host, found.http_port, found.keys) == (
        "127.0.0.1:9092",
        "127.0.0.1",
        8001,
        Path("keys"),
    )
    assert found.held_at == datetime(2026, 11, 2, 1, 40, tzinfo=UTC)


def test_a_running_clock_is_not_held(environment: pytest.MonkeyPatch) -> None:
    assert settings.load().held_at is None


def test_everything_that_is_missing_or_wrong_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BATON_KAFKA")
    environment.setenv("BATON_HTTP_PORT", "99999")
    environment.setenv("BATON_CLOCK", "held:2026-11-02T09:40:00")
    with pytest.raises(SettingsError) as raised:
        settings.load()
    text = str(raised.value)
    assert "BATON_KAFKA is not set" in text
    assert "BATON_HTTP_PORT='99999'" in text
    assert "BATON_CLOCK" in text
    assert "zone" in text


def test_a_wrong_setting_never_shows_a_password(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BATON_KAFKA")
    with pytest.raises(SettingsError) as raised:
        settings.load()
    assert "s3cret" not in str(raised.value)
