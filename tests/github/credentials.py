"""Who may ask, and for what: users' tokens, Apps, and the tokens of their installations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt

from tests.github.accounts import Account, Organization, User

if TYPE_CHECKING:
    from tests.github.repository import Repository
    from tests.github.world import World

EVERYTHING = frozenset({"metadata", "contents", "issues", "pull_requests", "members"})
LIFETIME = timedelta(hours=1)


class Refused(Exception):
    """Credentials that do not hold; the message is the one that GitHub sends with 401."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Token:
    """What a token may do."""

    value: str
    who: str
    """The principal whose limits it uses: several tokens of one user share them."""
    account: Account
    permissions: frozenset[str] = EVERYTHING
    owners: frozenset[str] | None = None
    """Logins whose private repositories it sees; None means all."""
    expires_at: datetime | None = None
    sso: bool = True
    """Whether it has been authorised for organisations with single sign-on."""
    points_per_hour: int | None = None
    """Its own primary limit, where it differs from a user's."""
    installation: Installation | None = None

    @property
    def kind(self) -> str:
        """As error messages call it."""
        return "integration" if self.installation else "personal access token"

    def sees(self, repository: Repository) -> bool:
        if repository.deleted:
            return False
        if not repository.private:
            return True
        return self.owners is None or repository.owner.login in self.owners


@dataclass(frozen=True, slots=True, eq=False)
class Installation:
    """An App on somebody's account."""

    id: int
    app: App
    account: Account
    permissions: frozenset[str] = EVERYTHING

    @property
    def who(self) -> str:
        return f"app/{self.app.id}/installation/{self.id}"


@dataclass(slots=True, eq=False)
class App:
    id: int
    public_key: str
    """PEM; the private half stays with the client."""
    client_id: str
    installations: list[Installation] = field(default_factory=list)


class Credentials:
    """All tokens and Apps that the server knows."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tokens: dict[str, Token] = {}
        self.apps: dict[int, App] = {}
        self._made = 0

    def user(self, user: User | None = None, **fields: Any) -> Token:
        """A new token of a user: of a new one each time, or of the one given."""
        self._made += 1
        owner = user or self.world.people[(self._made - 1) % len(self.world.people)]
        value = f"github_pat_{self._made:06d}{'Zk3' * 20}"
        token = Token(value=value, who=owner.login, account=owner, **fields)
        self.tokens[value] = token
        return token

    def app(self, public_key: str, *, app_id: int | None = None) -> App:
        """Register an App by its public key (PEM)."""
        number = app_id or 4000 + len(self.apps)
        self.apps[number] = app = App(number, public_key, f"Iv23li{number:014d}")
        return app

    def install(
        self, app: App, account: Account, permissions: frozenset[str] = EVERYTHING
    ) -> Installation:
        """Put an App on an account, whose repositories it may then read."""
        number = app.id * 100 + len(app.installations) + 1
        installation = Installation(number, app, account, permissions)
        app.installations.append(installation)
        return installation

    def revoke(self, token: Token) -> None:
        del self.tokens[token.value]

    def check(self, value: str) -> Token:
        """The token behind a value; Refused when there is none, or none any more."""
        token = self.tokens.get(value)
        if token is None or (token.expires_at and token.expires_at <= self.world.clock.now()):
            raise Refused("Bad credentials")
        return token

    def check_app(self, assertion: str) -> App:
        """The App that signed a JWT, if signature and times hold."""
        now = self.world.clock.now().timestamp()
        try:
            claims = jwt.decode(assertion, options={"verify_signature": False})
            app = self._issuer(claims.get("iss"))
            jwt.decode(
                assertion,
                app.public_key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_iss": False},
            )
        except jwt.InvalidTokenError as error:
            raise Refused("A JSON web token could not be decoded") from error
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or issued > now:
            raise Refused(
                "'Issued at' claim ('iat') must be an Integer representing the time that the "
                "assertion was issued"
            )
        if not isinstance(expires, int) or expires <= now:
            raise Refused(
                "'Expiration time' claim ('exp') must be a numeric value representing the future "
                "time at which the assertion expires"
            )
        if expires > now + 600:
            raise Refused("'Expiration time' claim ('exp') is too far in the future")
        return app

    def _issuer(self, issuer: object) -> App:
        for app in self.apps.values():
            if str(issuer) in {str(app.id), app.client_id}:
                return app
        raise Refused("A JSON web token could not be decoded")

    def mint(self, installation: Installation) -> Token:
        """A token of an installation; it lives for an hour, and is far longer than 40 letters."""
        self._made += 1
        expires = (self.world.clock.now() + LIFETIME).replace(microsecond=0)
        claims = {"installation": installation.id, "n": self._made, "exp": int(expires.timestamp())}
        signed = jwt.encode(claims, "a key that only this server knows, and nobody else")
        token = Token(
            value=f"ghs_{installation.app.id}_{signed}",
            who=installation.who,
            account=installation.account,
            permissions=installation.permissions,
            owners=frozenset({installation.account.login}),
            expires_at=expires,
            points_per_hour=self._points(installation),
            installation=installation,
        )
        self.tokens[token.value] = token
        return token

    def _points(self, installation: Installation) -> int:
        """5000, and 50 more for each repository and each member past 20, up to 12,500."""
        repositories = len(self.world.owned(installation.account))
        more = max(0, repositories - 20)
        if isinstance(installation.account, Organization):
            members = {one.number for team in installation.account.teams for one in team.members}
            more += max(0, len(members) - 20)
        return min(12_500, 5000 + 50 * more)
