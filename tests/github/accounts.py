"""Who there is: users, bots, organisations and their teams."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from tests.github import ids

BORN = datetime(2012, 1, 1, tzinfo=UTC)
FIRST = "Ada Ben Cleo Dan Eva Finn Gina Hugo Ida Jon Kim Lena Max Nora Omar Pia Rui Sara Tom Uma".split()
LAST = "Archer Baker Carter Dyer Eads Fisher Glover Hooper Inman Joiner Knight Mason Potter".split()
BOTS = ("dependabot", "renovate", "github-actions")


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """Somebody with a login; the subclass says what sort."""

    typename = "Account"
    number: int
    login: str
    name: str | None = None
    email: str = ""
    created_at: datetime = BORN

    @property
    def id(self) -> str:
        return ids.encode(self.typename, self.number)

    @property
    def database_id(self) -> int:
        return self.number

    @property
    def path(self) -> str:
        return f"/{self.login}"


@dataclass(slots=True, kw_only=True, eq=False)
class User(Account):
    typename = "User"


@dataclass(slots=True, kw_only=True, eq=False)
class Bot(Account):
    """A machine account: GraphQL shows its bare login, git and REST show `login[bot]`."""

    typename = "Bot"

    @property
    def path(self) -> str:
        return f"/apps/{self.login}"


@dataclass(slots=True, kw_only=True, eq=False)
class Mannequin(Account):
    """The stand-in for an imported author who has no account."""

    typename = "Mannequin"


@dataclass(slots=True, kw_only=True, eq=False)
class Team:
    typename = "Team"
    number: int
    name: str
    slug: str
    organization: Organization
    members: list[User] = field(default_factory=list)
    repositories: list[int] = field(default_factory=list)
    """Numbers of the repositories that it looks after."""

    @property
    def id(self) -> str:
        return ids.encode("Team", self.number)


@dataclass(slots=True, kw_only=True, eq=False)
class Organization(Account):
    typename = "Organization"
    saml: bool = False
    """Whether tokens must be authorised for single sign-on before they may read here."""
    teams: list[Team] = field(default_factory=list)


def make_user(number: int, random: Random) -> User:
    """A user with a plausible name; the same number and seed give the same one."""
    first, last = random.choice(FIRST), random.choice(LAST)
    login = f"{first}{last}{number}".lower()
    return User(number=number, login=login, name=f"{first} {last}", email=f"{login}@example.org")


def git_name(account: Account) -> tuple[str, str]:
    """Name and e-mail that an account's commits carry."""
    if isinstance(account, Bot):
        name = f"{account.login}[bot]"
        return name, f"{account.number}+{name}@users.noreply.github.com"
    return account.name or account.login, account.email
