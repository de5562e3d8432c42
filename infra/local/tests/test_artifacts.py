from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.artifacts import BUNDLES, KAFKA, KAFKA_VERSION, Jar, pinned, take
from infra.local.errors import ArtifactRefused

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_broker_and_all_it_needs_are_pinned_once() -> None:
    jars = pinned(KAFKA)
    assert len({jar.filename for jar in jars}) == len(jars)
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in {jar.filename for jar in jars}


def test_every_bundle_has_its_roots_pinned() -> None:
    for bundle in BUNDLES:
        assert set(bundle.roots) <= {jar.coordinate for jar in pinned(bundle)}, bundle.name


def test_a_jar_that_is_not_the_pinned_one_is_refused_and_kept_out(tmp_path: Path) -> None:
    fetched, folder = tmp_path / "fetched.jar", tmp_path / "cache"
    folder.mkdir()
    fetched.write_bytes(b"something else")
    with pytest.raises(ArtifactRefused, match=r"x-1\.jar has SHA-256 .*, pinned is e3b0"):
        take(fetched, Jar(EMPTY, "org.example", "x", "1"), folder)
    assert not list(folder.iterdir())


def test_the_pinned_jar_is_taken(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched.jar"
    fetched.write_bytes(b"")
    take(fetched, Jar(EMPTY, "org.example", "x", "1"), tmp_path)
    assert (tmp_path / "x-1.jar").read_bytes() == b""
