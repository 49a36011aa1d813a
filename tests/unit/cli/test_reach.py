"""What `sparky doctor` says of database, broker, weights and engine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparky.cli import reach
from sparky.findings import Finding, Health
from sparky.settings import Settings
from tests.engines.vllm import Vllm

SECRET = "s3cr3t-of-the-house"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def found(settings: Settings, *, engine: bool = False) -> dict[str, Finding]:
    findings = reach.services(
        settings,
        start=False,
        engine=engine,
        on_event=lambda text: None,
        on_progress=lambda progress: None,
    )
    return {finding.part: finding for finding in findings}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (
            f"postgresql://u:{SECRET}@db.example:5433/sparky?sslmode=require",
            "db.example:5433/sparky",
        ),
        ("postgresql+psycopg://sparky@/sparky?host=%2Frun%2Fsparky", "/run/sparky/sparky"),
        (f"redis://:{SECRET}@broker:6379/0", "broker:6379/0"),
        (f"unix://u:{SECRET}@/run/redis.sock?db=1", "/run/redis.sock"),
        ("redis+socket://%2Frun%2Fvalkey.sock?virtual_host=0", "/run/valkey.sock"),
    ],
)
def test_a_place_is_named_without_user_password_or_parameters(url: str, place: str) -> None:
    assert reach.place(url) == place


@pytest.mark.parametrize(
    ("url", "for_client"),
    [
        ("redis+socket://%2Frun%2Fvalkey.sock?virtual_host=3", "unix:///run/valkey.sock?db=3"),
        ("redis+socket:///run/valkey.sock", "unix:///run/valkey.sock?db=0"),
        ("rediss://:p@broker/1", "rediss://:p@broker/1"),
    ],
)
def test_a_brokers_url_is_put_into_the_clients_words(url: str, for_client: str) -> None:
    assert reach.for_client(url) == for_client


@pytest.mark.parametrize(
    ("version", "health"),
    [
        ("8.2.2", Health.OK),
        ("8.2.1", Health.WARN),
        ("7.4.6", Health.OK),
        ("7.2.9", Health.WARN),
        ("7.0.15", Health.WARN),
        ("6.2.20", Health.OK),
        ("5.0.14", Health.WARN),
        ("9.0.0", Health.OK),
        ("", Health.OK),
    ],
)
def test_a_redis_with_a_known_hole_is_told(version: str, health: Health) -> None:
    assert reach.version_of_broker("here", {"redis_version": version}).health is health


def test_a_valkey_says_so() -> None:
    info = {"redis_version": "7.2.4", "valkey_version": "9.1.2"}
    assert reach.version_of_broker("here", info).what == "Valkey 9.1.2 at here"


class TestNothingConfigured:
    def test_what_is_not_started_is_no_failure(self, settings: Settings, tmp_path: Path) -> None:
        findings = found(settings)
        assert findings["database"].what.startswith("not configured")
        assert findings["broker"].what.startswith("not configured")
        assert list(tmp_path.iterdir()) == []

    def test_weights_that_are_not_here_yet_are_told(self, settings: Settings) -> None:
        finding = found(settings)["weights"]
        assert finding.health is Health.WARN
        assert "not here yet (1117 MB)" in finding.what

    def test_an_unknown_model_fails_and_suggests_the_nearest(self, settings: Settings) -> None:
        finding = found(settings.with_changes(llm_model="qwen2.5-coder-1.5b-instruc"))["weights"]
        assert finding.health is Health.FAIL
        assert "Did you mean qwen2.5-coder-1.5b-instruct?" in finding.remedy

    def test_weights_with_the_wrong_hash_fail(self, settings: Settings, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(b"not these")
        finding = found(settings.with_changes(model_path=path, model_sha256="0" * 64))["weights"]
        assert finding.health is Health.FAIL
        assert "wrong sha256" in finding.what
        assert str(path) in finding.what


class TestNothingAnswers:
    def test_each_part_fails_with_what_to_do_and_no_secret(self, settings: Settings) -> None:
        port = unused_port()
        findings = found(
            settings.with_changes(
                database_url=f"postgresql://u:{SECRET}@127.0.0.1:{port}/sparky",
                broker_url=f"redis://:{SECRET}@127.0.0.1:{port}/0",
                llm_kind="openai",
                llm_url=f"http://127.0.0.1:{port}/v1",
                llm_api_key=SECRET,
            )
        )
        assert set(findings) == {"database", "broker", "engine"}
        for finding in findings.values():
            assert finding.health is Health.FAIL
            assert finding.remedy
            assert str(port) in finding.what
            assert SECRET not in repr(finding)


class TestEngine:
    @pytest.fixture
    def engine(self) -> Iterator[Vllm]:
        with Vllm() as server:
            yield server

    @pytest.fixture
    def reached(self, settings: Settings, engine: Vllm) -> Settings:
        return settings.with_changes(llm_kind="openai", llm_url=engine.url)

    def test_one_that_answers_is_named_with_model_and_context(
        self, reached: Settings, engine: Vllm
    ) -> None:
        findings = found(reached)
        assert findings["engine"].health is Health.OK
        assert f"vllm with {engine.model}, 512 tokens of context" in findings["engine"].what
        assert "writing" not in findings

    def test_it_writes_when_asked_to(self, reached: Settings) -> None:
        finding = found(reached, engine=True)["writing"]
        assert finding.health is Health.OK
        assert " tokens in " in finding.what

    def test_a_model_that_rambles_is_told(self, reached: Settings, engine: Vllm) -> None:
        engine.script.text = "well, well"
        engine.script.finish = "length"
        finding = found(reached, engine=True)["writing"]
        assert finding.health is Health.WARN
        assert "will not write well" in finding.remedy

    def test_a_wrong_key_fails_and_is_not_shown(self, reached: Settings, engine: Vllm) -> None:
        engine.key = "another"
        finding = found(reached.with_changes(llm_api_key=SECRET))["engine"]
        assert finding.health is Health.FAIL
        assert "SPARKY_LLM_API_KEY" in finding.remedy
        assert SECRET not in repr(finding)

    def test_a_model_that_is_not_served_fails(self, reached: Settings) -> None:
        finding = found(reached.with_changes(llm_model="no-such-model"))["engine"]
        assert finding.health is Health.FAIL
        assert "no-such-model" in finding.what
