"""What settings are checked with; each says what is wrong and never repeats what was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr


def one_line(secret: SecretStr) -> SecretStr:
    """The secret, if it is one line."""
    text = secret.get_secret_value()
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be one line without spaces around it")
    return secret


def url_of(*schemes: str) -> Callable[[SecretStr], SecretStr]:
    """A check of a secret URL whose message never repeats the URL."""

    def check(secret: SecretStr) -> SecretStr:
        text = one_line(secret).get_secret_value()
        scheme, found, rest = text.partition("://")
        if not found or not rest or scheme not in schemes:
            raise ValueError("must begin with " + ", ".join(f"{s}://" for s in schemes))
        # A password with `/`, `#` or `?` in it would end up in host, port or path, and from there
        # in errors.
        try:
            parts = urlsplit(text)
            sound = parts.port != 0 and "@" not in parts.path + parts.query + parts.fragment
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("cannot be read; write special characters of the password as %XX")
        return secret

    return check


def engine_url(url: str) -> str:
    """An engine's URL without a slash at its end."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if not authority or scheme not in ("http", "https", "grpc", "grpcs"):
        raise ValueError("must begin with http://, https://, grpc:// or grpcs://")
    if "@" in authority:
        raise ValueError("must not carry a user or password; use SPARKY_LLM_API_KEY")
    return url.rstrip("/")


def web_url(url: str) -> str:
    """A server's address without anything secret in it."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest.strip("/") or "@" in rest:
        raise ValueError("must begin with https:// and carry no user or password")
    return url.rstrip("/")


def words(value: object) -> object:
    """`md,json` as the words in it."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def lower(value: object) -> object:
    """Text in small letters; anything else as it is."""
    return value.lower() if isinstance(value, str) else value


def absolute(path: Path) -> Path:
    """The path from the root, `~` expanded; ValueError if that user is not known."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("names the home folder of an unknown user") from None


AbsolutePath = Annotated[Path, AfterValidator(absolute)]
Word = Annotated[SecretStr, AfterValidator(one_line)]
"""A secret of one line."""
EngineUrl = Annotated[str, AfterValidator(engine_url)]
