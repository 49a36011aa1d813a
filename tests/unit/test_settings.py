"""Settings: where they come from, what is refused, and that secrets stay secret."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from sparky.errors import UsageError
from sparky.settings import SECRETS, Settings, base_env, child_env, load

HOME = {"HOME": "/home/somebody", "SPARKY_CONFIG": "/dev/null"}


def read(env: Mapping[str, str]) -> Settings:
    """The settings of this environment alone."""
    return load(HOME | dict(env))


def refusal(env: Mapping[str, str], toml: Path | None = None) -> str:
    """What a user reads when these settings are wrong."""
    with pytest.raises(UsageError) as caught:
        load(HOME | dict(env), toml)
    text = str(caught.value)
    assert "\n" not in text
    return text


def toml(folder: Path, text: str) -> Path:
    path = folder / "sparky.toml"
    path.write_text(text, encoding="utf-8")
    return path


class TestDefaults:
    def test_nothing_configured_means_everything_embedded(self) -> None:
        settings = read({})
        assert settings.database_url is None
        assert settings.broker_url is None
        assert settings.llm_kind == "embedded"

    def test_folders_follow_the_home_of_the_environment_given(self) -> None:
        settings = read({})
        assert settings.state_dir == Path("/home/somebody/.local/state/sparky")
        assert settings.cache_dir == Path("/home/somebody/.cache/sparky")

    def test_folders_follow_xdg(self) -> None:
        settings = read({"XDG_STATE_HOME": "/x/state", "XDG_CACHE_HOME": "/x/cache"})
        assert settings.state_dir == Path("/x/state/sparky")
        assert settings.cache_dir == Path("/x/cache/sparky")

    def test_a_relative_xdg_folder_counts_as_not_set(self) -> None:
        settings = read({"XDG_STATE_HOME": "here"})
        assert settings.state_dir == Path("/home/somebody/.local/state/sparky")

    def test_settings_cannot_be_changed_in_place(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            read({}).attempts = 9  # type: ignore[misc]


class TestSources:
    def test_the_environment_beats_the_file_and_the_file_beats_the_default(
        self, tmp_path: Path
    ) -> None:
        path = toml(tmp_path, "attempts = 7\nlease_seconds = 90\n")
        settings = load(HOME | {"SPARKY_ATTEMPTS": "2"}, path)
        assert (settings.attempts, settings.lease_seconds) == (2, 90)
        assert settings.heartbeat_seconds == 5
        assert settings.config == path

    def test_keys_of_the_file_may_stand_in_tables(self, tmp_path: Path) -> None:
        path = toml(tmp_path, '[llm]\nkind = "ollama"\nurl = "http://gpu:11434"\napi_key = "k"\n')
        settings = load(HOME, path)
        assert (settings.llm_kind, settings.llm_url) == ("ollama", "http://gpu:11434")

    def test_a_path_in_the_file_counts_from_the_file(self, tmp_path: Path) -> None:
        path = toml(tmp_path, 'state_dir = "state"\nmodel_path = "/srv/model.gguf"\n')
        settings = load(HOME, path)
        assert settings.state_dir == tmp_path / "state"
        assert settings.model_path == Path("/srv/model.gguf")

    def test_a_path_in_the_environment_counts_from_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert read({"SPARKY_CACHE_DIR": "cache"}).cache_dir == tmp_path / "cache"

    def test_a_file_in_the_working_folder_is_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "config" / "sparky").mkdir(parents=True)
        toml(tmp_path / "config" / "sparky", "attempts = 5\n")
        monkeypatch.chdir(tmp_path)
        env = {"HOME": "/home/somebody", "XDG_CONFIG_HOME": str(tmp_path / "config")}
        assert load(env).attempts == 5
        toml(tmp_path, "attempts = 6\n")
        assert load(env).attempts == 5, "a checkout of somebody else's must not configure Sparky"

    def test_the_file_that_the_environment_names_is_read(self, tmp_path: Path) -> None:
        path = toml(tmp_path, "attempts = 8\n")
        assert load({"HOME": "/home/somebody", "SPARKY_CONFIG": str(path)}).attempts == 8

    def test_an_empty_variable_counts_as_not_set(self) -> None:
        assert read({"SPARKY_LLM_URL": "", "SPARKY_DATABASE_URL": ""}).llm_url is None

    def test_sizes_have_units_and_words_any_case(self) -> None:
        settings = read({"SPARKY_GIT_MAX_BYTES": "2GiB", "SPARKY_LOG_LEVEL": "DEBUG"})
        assert settings.git_max_bytes == 2 * 1024**3
        assert settings.log_level == "debug"


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("SPARKY_LLM_URI", "SPARKY_LLM_URL"),
            ("SPARKY_DATABSE_URL", "SPARKY_DATABASE_URL"),
            ("SPARKY_BROKER_URL_FIL", "SPARKY_BROKER_URL_FILE"),
            ("SPARKY_llm_kind", "SPARKY_LLM_KIND"),
        ],
    )
    def test_an_unknown_variable_suggests_the_nearest_name(self, name: str, meant: str) -> None:
        text = refusal({name: "x"})
        assert text == f"unknown setting {name} in the environment. Did you mean {meant}?"

    @pytest.mark.parametrize(
        ("text", "unknown", "meant"),
        [
            ("atempts = 3", "atempts", "attempts"),
            ('[llm]\nmodle = "x"', "llm.modle", "llm_model"),
            ("[git]\ntimeout = 3", "git.timeout", "git_timeout_seconds"),
        ],
    )
    def test_an_unknown_key_of_the_file_suggests_the_nearest_name(
        self, tmp_path: Path, text: str, unknown: str, meant: str
    ) -> None:
        path = toml(tmp_path, text)
        assert refusal({}, path) == f"unknown setting {unknown} in {path}. Did you mean {meant}?"

    def test_a_name_like_no_other_points_to_the_list(self) -> None:
        assert refusal({"SPARKY_ZZZ": "1"}).endswith("docs/configuration.md lists the settings.")

    def test_names_of_the_tests_are_left_alone(self) -> None:
        assert read({"SPARKY_TEST_ANYTHING": "1"}) == read({})

    def test_only_the_environment_names_the_settings_file(self, tmp_path: Path) -> None:
        text = refusal({}, toml(tmp_path, 'config = "x"'))
        assert text.endswith("Delete it there and set SPARKY_CONFIG.")

    def test_a_key_given_twice_in_the_file_is_refused(self, tmp_path: Path) -> None:
        path = toml(tmp_path, 'llm_model = "a"\n[llm]\nmodel = "b"\n')
        assert refusal({}, path) == f"{path} sets llm_model twice. Delete one of them."

    def test_a_file_that_is_named_must_exist(self, tmp_path: Path) -> None:
        missing = tmp_path / "none.toml"
        text = refusal({"SPARKY_CONFIG": str(missing)})
        assert text == (
            f"the settings file {missing} does not exist. Create it, or correct SPARKY_CONFIG."
        )

    def test_a_broken_file_is_named_with_the_line(self, tmp_path: Path) -> None:
        text = refusal({}, toml(tmp_path, "attempts = 3\nfarm = = 2\n"))
        assert "is not TOML" in text
        assert "line 2" in text

    def test_a_folder_in_the_place_of_the_file_is_refused(self, tmp_path: Path) -> None:
        assert "cannot be read" in refusal({}, tmp_path)

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("SPARKY_ATTEMPTS", "many", "should be a valid integer"),
            ("SPARKY_ATTEMPTS", "0", "greater than or equal to 1"),
            ("SPARKY_LLM_KIND", "gpt", "'ollama', 'triton' or 'pool'"),
            ("SPARKY_LLM_URL", "gpu:8000", "must begin with http://"),
            ("SPARKY_LLM_TIMEOUT_SECONDS", "-1", "greater than 0"),
            ("SPARKY_GIT_MAX_BYTES", "10 bananas", "bananas"),
            ("SPARKY_FARM", "Main Farm", "match pattern"),
            ("SPARKY_FLOWER_PORT", "70000", "less than or equal to 65535"),
            ("SPARKY_LOG_FORMAT", "xml", "'console' or 'json'"),
            ("SPARKY_MODEL_SHA256", "abc", "match pattern"),
            ("SPARKY_STATE_DIR", "~nobody-of-that-name/x", "home folder of an unknown user"),
        ],
    )
    def test_a_wrong_value_is_named_with_the_reason_and_an_example(
        self, name: str, value: str, reason: str
    ) -> None:
        text = refusal({name: value})
        assert text.startswith(f"{name} is wrong: ")
        assert reason in text
        assert "For example: " in text

    def test_a_wrong_value_in_the_file_is_named_with_the_file(self, tmp_path: Path) -> None:
        path = toml(tmp_path, "[flower]\nport = true\n[llm]\ncontext = 12\n")
        assert refusal({}, path).startswith(f"llm.context in {path} is wrong: ")

    @pytest.mark.parametrize(
        ("env", "missing"),
        [
            ({"SPARKY_LLM_KIND": "openai"}, "llm_kind is openai, but llm_url is not set"),
            ({"SPARKY_LLM_URL": "http://gpu:8000"}, "llm_url is set, but llm_kind is embedded"),
            ({"SPARKY_MODEL_SHA256": "a" * 64}, "model_sha256 is set, but model_path is not"),
            ({"SPARKY_LEASE_SECONDS": "9"}, "at most half of lease_seconds"),
        ],
    )
    def test_settings_that_do_not_fit_together_are_refused(
        self, env: dict[str, str], missing: str
    ) -> None:
        assert missing in refusal(env)

    def test_a_user_without_a_home_is_told_what_to_set(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", no_home)
        with pytest.raises(UsageError, match="Set SPARKY_STATE_DIR and SPARKY_CACHE_DIR"):
            load({"SPARKY_CONFIG": "/dev/null"})


SECRET = "s3cr3t-of-the-house"
GIVEN = {
    "database_url": f"postgresql://u:{SECRET}@db/sparky",
    "broker_url": f"redis://:{SECRET}@broker/0",
    "llm_api_key": SECRET,
    "flower_password": SECRET,
    "github_token": SECRET,
    "github_tokens": SECRET,
    "hub_token": SECRET,
    "github_app_key": SECRET,
}


class TestSecrets:
    def test_the_secrets_are_these(self) -> None:
        assert set(GIVEN) == SECRETS

    @pytest.mark.parametrize(
        ("key", "url"),
        [
            ("database_url", "postgresql+psycopg://sparky@/sparky?host=%2Frun%2Fsparky"),
            ("database_url", "postgres://u:p%2Fw@db:5432/sparky?sslmode=require"),
            ("broker_url", "redis+socket://%2Frun%2Fvalkey.sock?virtual_host=0"),
            ("broker_url", "redis+socket:///run/valkey.sock"),
            ("broker_url", "unix://u:p@/run/valkey.sock?db=1"),
            ("broker_url", "rediss://[::1]:6380/2"),
        ],
    )
    def test_urls_of_all_these_forms_are_taken_as_they_are(self, key: str, url: str) -> None:
        settings = read({f"SPARKY_{key.upper()}": url})
        assert getattr(settings, key).get_secret_value() == url

    @pytest.mark.parametrize("key", sorted(SECRETS))
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_each_secret_can_stand_in_a_file_with_a_newline_at_its_end(
        self, tmp_path: Path, key: str, end: str
    ) -> None:
        path = tmp_path / "secret"
        path.write_bytes((GIVEN[key] + end).encode())
        settings = read({f"SPARKY_{key.upper()}_FILE": str(path)})
        assert getattr(settings, key).get_secret_value() == GIVEN[key]

    @pytest.mark.parametrize("key", sorted(SECRETS))
    def test_both_forms_of_a_secret_are_refused(self, tmp_path: Path, key: str) -> None:
        path = tmp_path / "secret"
        path.write_text(GIVEN[key])
        name = f"SPARKY_{key.upper()}"
        text = refusal({name: GIVEN[key], f"{name}_FILE": str(path)})
        assert text.startswith(f"{name} and {name}_FILE are both set.")
        assert SECRET not in text

    def test_a_secret_file_in_the_settings_file_counts_from_it(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("k\n")
        settings = load(HOME, toml(tmp_path, '[llm]\napi_key_file = "key"\n'))
        assert settings.llm_api_key == SecretStr("k")

    def test_the_environments_secret_beats_the_files(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("from the file")
        path = toml(tmp_path, 'llm_api_key_file = "key"\n')
        settings = load(HOME | {"SPARKY_LLM_API_KEY": "from-the-environment"}, path)
        assert settings.llm_api_key == SecretStr("from-the-environment")

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * (64 * 1024 + 1)])
    def test_a_file_that_holds_no_secret_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "secret"
        path.write_bytes(content)
        assert "holds no secret" in refusal({"SPARKY_LLM_API_KEY_FILE": str(path)})

    @pytest.mark.parametrize("place", ["missing", "~nobody-of-that-name/key", "nul\0"])
    def test_a_secret_file_that_cannot_be_read_is_named(self, place: str) -> None:
        text = refusal({"SPARKY_LLM_API_KEY_FILE": place})
        assert text.startswith("SPARKY_LLM_API_KEY_FILE names ")

    def test_no_secret_shows_in_what_is_printed_or_dumped(self) -> None:
        settings = read({f"SPARKY_{key.upper()}": value for key, value in GIVEN.items()})
        for shown in (repr(settings), str(settings), settings.model_dump_json()):
            assert SECRET not in shown

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SPARKY_DATABASE_URL", f"mysql://u:{SECRET}@h/d"),
            ("SPARKY_DATABASE_URL", SECRET),
            ("SPARKY_DATABASE_URL", f"postgresql://u:{SECRET}/x@h/d"),
            ("SPARKY_DATABASE_URL", f"postgresql://u:1/{SECRET}@h/d"),
            ("SPARKY_DATABASE_URL", f"postgresql://u:p@[{SECRET}/d"),
            ("SPARKY_BROKER_URL", f"redis://:{SECRET}#x@h/0"),
            ("SPARKY_BROKER_URL", f"redis://:{SECRET}@h/0\n"),
            ("SPARKY_BROKER_URL", f"amqp://u:{SECRET}@h"),
            ("SPARKY_LLM_API_KEY", f"{SECRET}\nX-Header: 1"),
            ("SPARKY_FLOWER_PASSWORD", f" {SECRET}"),
            ("SPARKY_LLM_URL", f"http://u:{SECRET}@h/v1"),
        ],
    )
    def test_no_secret_shows_in_a_refusal_or_its_traceback(self, name: str, value: str) -> None:
        with pytest.raises(UsageError) as caught:
            read({name: value})
        assert name in str(caught.value)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


class TestChildren:
    def test_a_child_reads_the_same_settings_with_the_overrides(self, tmp_path: Path) -> None:
        path = toml(tmp_path, "attempts = 9\n")
        settings = load(
            {"HOME": "/home/somebody", "SPARKY_DATABASE_URL": GIVEN["database_url"]}, path
        )
        env = child_env(settings, llm_kind="openai", llm_url="http://127.0.0.1:1", llm_api_key="k")
        expected = settings.with_changes(
            llm_kind="openai",
            llm_url="http://127.0.0.1:1",
            llm_api_key="k",
            config=Path("/dev/null"),
        )
        assert load(env) == expected
        assert expected.attempts == 9

    def test_what_an_override_takes_away_does_not_come_back_from_the_file(
        self, tmp_path: Path
    ) -> None:
        settings = load({"HOME": "/home/somebody"}, toml(tmp_path, 'llm_model = "big"\n'))
        assert load(child_env(settings, llm_model=None)).llm_model is None

    def test_overrides_are_checked(self) -> None:
        with pytest.raises(UsageError, match="atempts"):
            child_env(read({}), atempts=3)

    def test_programs_get_what_they_need_and_nobodys_secrets(self) -> None:
        env = base_env(
            {
                "PATH": "/bin",
                "HOME": "/h",
                "LC_ALL": "C.UTF-8",
                "https_proxy": "http://proxy:3128",
                "SSH_AUTH_SOCK": "/run/agent",
                "SPARKY_TEST_ENGINE": "small",
                "SPARKY_LLM_API_KEY": SECRET,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "GITHUB_TOKEN": SECRET,
                "GIT_DIR": "/elsewhere",
                "GIT_SSH_COMMAND": "touch x",
            }
        )
        assert sorted(env) == [
            "HOME",
            "LC_ALL",
            "PATH",
            "SPARKY_TEST_ENGINE",
            "SSH_AUTH_SOCK",
            "https_proxy",
        ]

    @given(
        attempts=st.integers(1, 100),
        lease=st.integers(30, 86_400),
        timeout=st.floats(0.001, 86_400),
        limit=st.integers(1, 2**50),
        key=st.none() | st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1),
        model=st.none()
        | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    )
    def test_any_settings_survive_the_way_through_an_environment(
        self,
        attempts: int,
        lease: int,
        timeout: float,
        limit: int,
        key: str | None,
        model: str | None,
    ) -> None:
        settings = read({}).with_changes(
            attempts=attempts,
            lease_seconds=lease,
            llm_timeout_seconds=timeout,
            git_max_bytes=limit,
            llm_api_key=key,
            llm_model=model,
        )
        assert load(child_env(settings)) == settings


class TestEngines:
    """Many engines in place of one."""

    TOML = """
        [[engines]]
        url = "http://gpu1:8000/"
        model = "m"
        api_key_file = "key"
        template = "t.json"

        [[engines]]
        url = "http://gpu2:11434"
        kind = "Ollama"
        model = "big"
        tier = 1
        weight = 2
        """

    def test_tables_of_the_file_are_engines(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("s3cret\n")
        settings = load(HOME, toml(tmp_path, self.TOML))
        one, two = settings.engines
        assert settings.llm_kind == "pool"
        assert (one.url, one.kind, one.tier) == ("http://gpu1:8000", "openai", 0)
        assert one.api_key == SecretStr("s3cret")
        assert one.template == tmp_path / "t.json"
        assert (two.kind, two.tier, two.weight) == ("ollama", 1, 2.0)

    def test_child_processes_get_them_with_their_secrets(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("s3cret\n")
        settings = load(HOME, toml(tmp_path, self.TOML))
        again = load({**HOME, **child_env(settings)})
        assert again.engines == settings.engines
        assert "s3cret" not in repr(settings) + settings.model_dump_json()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('[[engines]]\nurl = "http://a"', "number 1: model: field required"),
            ('[[engines]]\nmodel = "m"\nurl = "a"', "number 1: url: must begin with http://"),
            ('[[engines]]\nmodel = "m"\nurl = "http://a"\ntire = 1', "number 1: tire: extra"),
            ('[engines]\nmodel = "m"', "unknown setting engines.model"),
            ('engines = "x"', "is not JSON"),
            (
                'llm_url = "http://b"\n[[engines]]\nmodel = "m"\nurl = "http://a"',
                "llm_url and engines are both set",
            ),
            (
                'llm_kind = "ollama"\n[[engines]]\nmodel = "m"\nurl = "http://a"',
                "engines go with llm_kind pool",
            ),
            ('llm_kind = "pool"', "engines go with llm_kind pool"),
            (
                '[[engines]]\nmodel = "m"\nurl = "http://a"\napi_key = "k"\napi_key_file = "f"',
                "api_key and api_key_file are both set in number 1 of engines",
            ),
        ],
    )
    def test_a_wrong_one_is_named_with_the_reason(
        self, tmp_path: Path, text: str, reason: str
    ) -> None:
        assert reason in refusal({}, toml(tmp_path, text))
