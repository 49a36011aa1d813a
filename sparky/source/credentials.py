"""Who asks GitHub: users' tokens and the installations of an App. Nothing here shows a secret."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt

from sparky.errors import UsageError
from sparky.ports import Clock

_EARLY = timedelta(minutes=5)
"""An installation's token is renewed so long before its end."""
_SKEW = timedelta(minutes=1)
"""GitHub's clock may be behind ours."""
_LIFE = timedelta(minutes=9)
"""Of an App's assertion; GitHub takes ten at most."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A token as it is sent; printing it shows nothing."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """Somebody as whom we may ask."""

    id: str
    """A hash: the same token is the same credential in every worker."""
    label: str
    """How people know it; masked."""
    owner: str | None = None
    """The only account whose private repositories it sees, in lower case; None: whatever the
    token's user sees."""


class Token:
    """A user's token, classic or fine-grained."""

    def __init__(self, value: str) -> None:
        self._secret = Secret(value)
        digest = hashlib.sha256(value.encode()).hexdigest()
        self.credential = Credential(f"token:{digest[:16]}", masked(value))

    def secret(self) -> Secret:
        return self._secret

    def renew(self) -> bool:
        """A user's token cannot be renewed."""
        return False


class App:
    """A GitHub App: signs itself, and asks for tokens of its installations.

    Args:
        app_id: its number or client id.
        key: its private key, PEM.
        clock: the time in UTC.
        post: (path, secret) → the JSON that GitHub answers to a POST as the App.
        get: the same for a GET, all pages of it.
    """

    def __init__(
        self,
        app_id: str,
        key: str,
        *,
        clock: Clock,
        post: Callable[[str, Secret], Any],
        get: Callable[[str, Secret], Sequence[Any]],
    ) -> None:
        self.app_id = app_id
        self._key = key
        self._clock = clock
        self._post = post
        self._get = get

    def assertion(self) -> Secret:
        """A JSON Web Token that says who we are, for some minutes.

        Raises UsageError when the key is no private RSA key in PEM.
        """
        now = self._clock()
        claims = {
            "iat": int((now - _SKEW).timestamp()),
            "exp": int((now + _LIFE).timestamp()),
            "iss": self.app_id,
        }
        try:
            return Secret(jwt.encode(claims, self._key, algorithm="RS256"))
        except (jwt.PyJWTError, ValueError, TypeError):
            raise UsageError(
                "the private key of the GitHub App cannot be read",
                remedy="Give SPARKY_GITHUB_APP_KEY_FILE the .pem file that GitHub made",
            ) from None

    def installations(self, wanted: Sequence[str] = ()) -> tuple[Installation, ...]:
        """Those whose number or account is wanted; all of them by default."""
        names = {name.casefold() for name in wanted}
        found = []
        for row in self._get("/app/installations", self.assertion()):
            number, login = str(row["id"]), str(row["account"]["login"])
            if not names or names & {number, login.casefold()}:
                found.append(Installation(self, number, login))
        if not found:
            raise UsageError(
                f"GitHub App {self.app_id} is not installed where it is wanted",
                remedy="Install it, or correct SPARKY_GITHUB_APP_INSTALLATIONS",
            )
        return tuple(found)

    def mint(self, number: str) -> tuple[Secret, datetime]:
        """A fresh token of an installation, and when it ends."""
        made = self._post(f"/app/installations/{number}/access_tokens", self.assertion())
        return Secret(made["token"]), datetime.fromisoformat(made["expires_at"])

    def now(self) -> datetime:
        return self._clock()


class Installation:
    """An App on one account; its tokens live for an hour and are renewed here."""

    def __init__(self, app: App, number: str, login: str) -> None:
        self._app = app
        self._number = number
        self._lock = threading.Lock()
        self._token: tuple[Secret, datetime] | None = None
        self.credential = Credential(
            f"app:{app.app_id}:{number}", f"App {app.app_id} on {login}", login.casefold()
        )

    def secret(self) -> Secret:
        """A token that is good for some more minutes."""
        with self._lock:
            if self._token is None or self._token[1] - _EARLY <= self._app.now():
                self._token = self._app.mint(self._number)
            return self._token[0]

    def renew(self) -> bool:
        """The token was revoked: ask for another next time."""
        with self._lock:
            self._token = None
        return True


Holder = Token | Installation


class Keyring:
    """All credentials, made when the first is needed.

    Args:
        make: gives them; may ask GitHub which installations there are.
    """

    def __init__(self, make: Callable[[], Sequence[Holder]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._held: dict[str, Holder] | None = None

    def _all(self) -> dict[str, Holder]:
        with self._lock:
            if self._held is None:
                self._held = {one.credential.id: one for one in self._make()}
            return self._held

    def for_owner(self, owner: str) -> tuple[Credential, ...]:
        """Who may ask about an account's repositories: its installation, else the users.

        Without users, any installation may ask: it sees what is public.
        """
        held = [one.credential for one in self._all().values()]
        own = tuple(one for one in held if one.owner == owner.casefold())
        users = tuple(one for one in held if one.owner is None)
        return own or users or tuple(held)

    def credential(self, credential_id: str) -> Credential:
        return self._all()[credential_id].credential

    def secret(self, credential_id: str) -> Secret:
        return self._all()[credential_id].secret()

    def renew(self, credential_id: str) -> bool:
        """Whether the next secret of a credential that was refused will be another one."""
        return self._all()[credential_id].renew()

    def everybody(self) -> tuple[Credential, ...]:
        return tuple(one.credential for one in self._all().values())


def masked(token: str) -> str:
    """A token as it may be shown: what sort it is, and its last two characters."""
    sort, line, _ = token.partition("_")
    shown = f"{sort}_" if line and len(sort) <= 6 else ""
    return f"{shown}…{token[-2:]}" if len(token) >= 20 else "…"
