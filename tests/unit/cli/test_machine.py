"""What `sparky doctor` says of this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sparky.cli import machine
from sparky.findings import Finding, Health
from sparky.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


def git_that_says(folder: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a git that says this before the others on PATH."""
    program = folder / "git"
    program.write_text(f"#!/bin/sh\necho '{words}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_git_of_this_machine_will_do() -> None:
    assert machine.git().health is Health.OK


@pytest.mark.parametrize("words", ["git version 2.20.1", "git version 1.9.0"])
def test_a_git_that_is_too_old_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    git_that_says(tmp_path, words, monkeypatch)
    finding = machine.git()
    assert (finding.health, finding.what) == (Health.FAIL, f"{words} is too old")
    assert "apt-get install git" in finding.remedy


def test_a_git_that_makes_no_sense_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_that_says(tmp_path, "hello", monkeypatch)
    assert "says hello" in machine.git().what


def test_a_missing_git_fails_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = machine.git()
    assert (finding.health, finding.what) == (Health.FAIL, "not found")
    assert "apt-get install git" in finding.remedy


def test_a_missing_library_fails_with_its_package() -> None:
    finding = machine.library("libnone-of-that-name.so.1", "libnone1")
    assert (finding.health, finding.what) == (Health.FAIL, "not found")
    assert finding.remedy == "Install it as root: apt-get install libnone1"


def folder(path: Path, room: int = 0) -> Finding:
    return machine.folder("state folder", path, room, "SPARKY_STATE_DIR")


class TestFolders:
    def test_one_that_is_not_there_yet_is_fine(self, tmp_path: Path) -> None:
        finding = folder(tmp_path / "a" / "b")
        assert finding.health is Health.OK
        assert "not made yet" in finding.what
        assert list(tmp_path.iterdir()) == []

    def test_one_that_others_can_open_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "open"
        path.mkdir()
        path.chmod(0o755)
        finding = folder(path)
        assert finding.health is Health.WARN
        assert finding.remedy == f"chmod 700 {path}"
        path.chmod(0o700)
        assert folder(path).health is Health.OK

    def test_a_file_in_its_place_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.touch()
        for place in (path, path / "below"):
            assert folder(place).what == f"{path} is not a folder"

    def test_one_that_cannot_be_written_to_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path, mode: int) -> bool:
            return False

        monkeypatch.setattr(os, "access", refuse)
        finding = folder(tmp_path)
        assert finding.health is Health.FAIL
        assert "SPARKY_STATE_DIR" in finding.remedy

    def test_a_disk_without_room_is_told(self, tmp_path: Path) -> None:
        finding = folder(tmp_path / "new", room=2**70)
        assert finding.health is Health.WARN
        assert "GB of room" in finding.what
        assert "Free some disk space" in finding.remedy


class TestSettingsFile:
    def test_none_is_fine(self, settings: Settings) -> None:
        assert machine.settings_file(settings).health is Health.OK

    @pytest.mark.parametrize(
        "text",
        [
            '[llm]\napi_key = "s3cr3t"\n',
            'llm = { kind = "openai", api_key = "s3cr3t" }\n',
            'github_token = "s3cr3t"\n',
            '[github]\napp_key = "s3cr3t"\n',
            'hub_token = "s3cr3t"\n',
            '[[engines]]\nurl = "http://gpu:1"\nmodel = "m"\napi_key = "s3cr3t"\n',
        ],
    )
    def test_secrets_that_others_can_read_are_told(
        self, settings: Settings, tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "sparky.toml"
        path.write_text(text)
        changed = settings.with_changes(config=path)
        path.chmod(0o644)
        finding = machine.settings_file(changed)
        assert (finding.health, finding.remedy) == (Health.WARN, f"chmod 600 {path}")
        assert "s3cr3t" not in finding.what
        path.chmod(0o600)
        assert machine.settings_file(changed).health is Health.OK

    def test_a_readable_file_without_secrets_is_fine(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        path = tmp_path / "sparky.toml"
        path.write_text('llm_api_key_file = "/run/secrets/key"\n')
        path.chmod(0o644)
        assert machine.settings_file(settings.with_changes(config=path)).health is Health.OK


class TestMemory:
    def said(self, settings: Settings, tmp_path: Path, kilobytes: int) -> list[Health]:
        meminfo = tmp_path / "meminfo"
        meminfo.write_text(f"MemTotal: 9 kB\nMemAvailable:   {kilobytes} kB\n")
        return [finding.health for finding in machine.memory(settings, meminfo)]

    def test_too_little_for_the_embedded_engine_is_told(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        assert self.said(settings, tmp_path, 1_000_000) == [Health.WARN]
        assert self.said(settings, tmp_path, 8_000_000) == [Health.OK]

    def test_an_engine_elsewhere_needs_none(self, settings: Settings, tmp_path: Path) -> None:
        elsewhere = settings.with_changes(llm_kind="openai", llm_url="http://gpu:1")
        assert self.said(elsewhere, tmp_path, 1_000) == []


def test_a_port_in_use_is_told_with_the_setting_that_changes_it(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        finding = machine.ports(settings.with_changes(flower_port=port))
    assert (finding.part, finding.health) == (f"port {port}", Health.WARN)
    assert "SPARKY_FLOWER_PORT" in finding.remedy
    assert machine.ports(settings.with_changes(flower_port=port)).health is Health.OK


def test_the_port_is_looked_at_where_flower_is_to_listen(settings: Settings) -> None:
    """An address that this machine does not have is told, though the port is free on another."""
    finding = machine.ports(settings.with_changes(flower_host="192.0.2.7"))
    assert finding.health is Health.WARN
    assert "Cannot assign requested address" in finding.what
