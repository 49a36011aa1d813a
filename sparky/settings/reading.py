"""Reads the settings from the environment, `sparky.toml` and the files of secrets."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from sparky.errors import UsageError
from sparky.settings.checks import absolute
from sparky.settings.environment import PREFIX, TEST_PREFIX, process_env
from sparky.settings.keys import PATHS, SECRETS, Settings, checked

MAX_SECRET_BYTES: Final = 64 * 1024

_KEYS: Final = (*Settings.model_fields, *(f"{name}_file" for name in sorted(SECRETS)))
_FOLDERS: Final = {
    "state_dir": ("XDG_STATE_HOME", ".local/state"),
    "cache_dir": ("XDG_CACHE_HOME", ".cache"),
}
"""Key → the variable of its base folder, and where that is if the variable is not set."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and where it was given, in words for errors."""

    value: Any
    origin: str


def load(env: Mapping[str, str] | None = None, toml: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        env: the environment; the process's own if None.
        toml: the settings file; if None, the one that the environment names, else `sparky.toml`
            in the user's configuration folder.

    Raises:
        UsageError: a key is unknown or its value wrong; one line that names it and the remedy.
    """
    env = process_env() if env is None else env
    path = _settings_file(env, toml)
    given = dict(_from_file(path)) if path else {}
    if path and "engines" in given:
        given.setdefault("engines_from", _Given(path, str(path)))
    said = dict(_from_environment(env))
    if "engines" in said:
        given.pop("engines_from", None)
    given |= said
    values = {name: one.value for name, one in given.items()} | {"config": path}
    for name, (variable, otherwise) in _FOLDERS.items():
        if name not in values:
            values[name] = _folder(env, variable, otherwise)
    return checked(values, {name: one.origin for name, one in given.items()})


def _folder(env: Mapping[str, str], variable: str, otherwise: str) -> Path:
    """Sparky's folder under an XDG base directory, which counts only if it is absolute."""
    base = Path(env.get(variable, ""))
    if base.is_absolute():
        return base / "sparky"
    try:
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    except RuntimeError:
        raise UsageError(
            "this user has no home folder to keep files in",
            remedy="Set SPARKY_STATE_DIR and SPARKY_CACHE_DIR to folders that it may write to.",
        ) from None
    return home / otherwise / "sparky"


def _settings_file(env: Mapping[str, str], toml: Path | None) -> Path | None:
    named = toml or (Path(env[f"{PREFIX}CONFIG"]) if env.get(f"{PREFIX}CONFIG") else None)
    if named is not None:
        if not named.exists():
            raise UsageError(
                f"the settings file {named} does not exist",
                remedy=f"Create it, or correct {PREFIX}CONFIG.",
            )
        return named.absolute()
    base = Path(env.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        base = Path(env.get("HOME", "/nonexistent")) / ".config"
    # Not the working folder: that may be a checkout of somebody who wants our key sent elsewhere.
    usual = base / "sparky" / "sparky.toml"
    return usual if usual.is_file() else None


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    """What the environment sets. An empty value is no value, as in compose files."""
    flat: dict[str, _Given] = {}
    for variable, value in sorted(env.items()):
        if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if variable.isupper() and name in _KEYS:
            if value:
                flat[name] = _Given(value, variable)
            continue
        raise _unknown(variable, PREFIX, "the environment")
    return _without_files(flat, Path.cwd())


def _from_file(path: Path) -> Iterator[tuple[str, _Given]]:
    try:
        with path.open("rb") as stream:
            tables = tomllib.load(stream)
    except OSError as error:
        raise UsageError(
            f"the settings file {path} cannot be read: {error.strerror}",
            remedy="Correct its access rights.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the settings file {path} is not TOML: {error}",
            remedy="Correct that line.",
        ) from None
    flat: dict[str, _Given] = {}
    for dotted, value in _leaves(tables):
        name = dotted.replace(".", "_")
        if name == "config":
            raise UsageError(
                f"{path} sets config, which only the environment can",
                remedy=f"Delete it there and set {PREFIX}CONFIG.",
            )
        if name not in _KEYS:
            raise _unknown(dotted, "", str(path))
        if name in flat:
            raise UsageError(f"{path} sets {name} twice", remedy="Delete one of them.")
        if name == "engines":
            value = _engines(value, path)
        relative = name in PATHS and isinstance(value, str)
        flat[name] = _Given(_from(path.parent, value) if relative else value, f"{dotted} in {path}")
    return _without_files(flat, path.parent)


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables, each with its dotted name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value


def _without_files(flat: Mapping[str, _Given], base: Path) -> Iterator[tuple[str, _Given]]:
    """Read the secrets that are given as files, whose paths count from `base`."""
    for name, given in flat.items():
        secret = name.removesuffix("_file")
        if secret == name or secret not in SECRETS:
            yield name, given
        elif secret in flat:
            raise UsageError(
                f"{flat[secret].origin} and {given.origin} are both set",
                remedy="Keep the one that is meant and delete the other.",
            )
        else:
            yield secret, _Given(_read_secret(given, base), given.origin)


def _read_secret(given: _Given, base: Path) -> str:
    where = f"{given.origin} names {given.value}"
    try:
        with absolute(_from(base, str(given.value))).open("rb") as stream:
            content = stream.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{where}, which cannot be read: {error.strerror}",
            remedy="Correct the path or its access rights.",
        ) from None
    except ValueError as error:
        raise UsageError(f"{where}, which {error}", remedy="Correct the path.") from None
    text = content.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if not text or "\ufffd" in text or len(content) > MAX_SECRET_BYTES:
        raise UsageError(
            f"{where}, which holds no secret",
            remedy=f"Write the secret into it: UTF-8 text of at most {MAX_SECRET_BYTES} bytes.",
        )
    return text


def _engines(value: Any, path: Path) -> Any:
    """The tables of `[[engines]]`, with the secrets that they name as files read."""
    if not isinstance(value, list):
        return value
    return [
        dict(_engine(entry, f"number {number} of engines in {path}", path.parent))
        if isinstance(entry, dict)
        else entry
        for number, entry in enumerate(value, 1)
    ]


def _engine(entry: Mapping[str, Any], origin: str, base: Path) -> Iterator[tuple[str, Any]]:
    if "api_key" in entry and "api_key_file" in entry:
        raise UsageError(
            f"api_key and api_key_file are both set in {origin}",
            remedy="Keep the one that is meant and delete the other.",
        )
    for name, value in entry.items():
        if name == "api_key_file":
            yield "api_key", _read_secret(_Given(value, f"{name} of {origin}"), base)
        elif name == "template" and isinstance(value, str):
            yield name, _from(base, value)
        else:
            yield name, value


def _from(base: Path, path: str) -> Path:
    """The path as it counts from `base`; `~` stays what it is."""
    return Path(path) if path.startswith("~") else base / path


def _unknown(name: str, prefix: str, where: str) -> UsageError:
    bare = name.removeprefix(prefix).replace(".", "_").lower()
    nearest = get_close_matches(bare, _KEYS, n=1)
    meant = prefix + nearest[0] if nearest else ""
    return UsageError(
        f"unknown setting {name} in {where}",
        remedy=f"Did you mean {meant.upper() if prefix else meant}?"
        if nearest
        else "docs/configuration.md lists the settings.",
    )
