"""GitHub Apps: a signed request, a token for an installation, and what that may do.

By 'Generating a JSON Web Token (JWT) for a GitHub App' (RS256, at most ten minutes, iss the App's
id or client id) and 'Generating an installation access token' (one hour).
"""

from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.github import Server
from tests.github.client import Client
from tests.github.credentials import App, Installation


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(github: Server, key: rsa.RSAPrivateKey) -> App:
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return github.credentials.app(pem.decode())


@pytest.fixture
def installation(github: Server, app: App) -> Installation:
    return github.credentials.install(app, github.world.organizations[0])


def signed(github: Server, app: App, key: Any, algorithm: str = "RS256", **claims: Any) -> str:
    now = int(github.world.clock.now().timestamp())
    fields = {"iat": now - 60, "exp": now + 540, "iss": str(app.id)} | claims
    return jwt.encode(fields, key, algorithm=algorithm)


def ask(github: Server, assertion: str, method: str = "GET", path: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {assertion}"}
    url = f"{github.url}/app/installations{path}"
    return httpx.request(method, url, headers=headers, trust_env=False)


@pytest.mark.parametrize("issuer", ["id", "client_id"])
def test_an_app_lists_its_installations(
    github: Server, app: App, installation: Installation, key: rsa.RSAPrivateKey, issuer: str
) -> None:
    """iss may be the App's id or its client id."""
    found = ask(github, signed(github, app, key, iss=str(getattr(app, issuer)))).json()
    assert [(one["id"], one["account"]["login"]) for one in found] == [(installation.id, "org-0")]


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": 660}, "too far in the future"),
        ({"exp": -1}, "'Expiration time' claim"),
        ({"iat": 5}, "'Issued at' claim"),
    ],
)
def test_times_that_do_not_hold_are_refused(
    github: Server, app: App, key: rsa.RSAPrivateKey, claims: dict[str, int], words: str
) -> None:
    """At most ten minutes, not over, and not from the future."""
    now = int(github.world.clock.now().timestamp())
    moved: dict[str, Any] = {name: now + seconds for name, seconds in claims.items()}
    response = ask(github, signed(github, app, key, **moved))
    assert response.status_code == 401
    assert words in response.json()["message"]


def test_only_the_apps_own_key_is_believed(github: Server, app: App) -> None:
    """Another key, another algorithm or no signature: it could not be decoded."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    shared = "a shared secret that is long enough for HS256"
    for assertion in (
        signed(github, app, other),
        signed(github, app, shared, algorithm="HS256"),
        signed(github, app, None, algorithm="none"),
        "nonsense",
    ):
        response = ask(github, assertion)
        assert response.status_code == 401
        assert response.json()["message"] == "A JSON web token could not be decoded"


def test_an_installation_token_reads_for_an_hour(
    github: Server, app: App, installation: Installation, key: rsa.RSAPrivateKey
) -> None:
    """201 with token and expires_at; after that it is 401, and a new one can be had."""
    path = f"/{installation.id}/access_tokens"
    response = ask(github, signed(github, app, key), "POST", path)
    assert response.status_code == 201
    value = response.json()["token"]
    assert value.startswith(f"ghs_{app.id}_")
    assert len(value) > 100
    with Client(github, value) as client:
        assert client.get("/installation/repositories").json()["total_count"] > 0
        github.world.clock.advance(minutes=59)
        assert client.post("{ viewer { login } }").status_code == 200
        github.world.clock.advance(minutes=1)
        assert client.post("{ viewer { login } }").status_code == 401


def test_an_unknown_installation_is_404(github: Server, app: App, key: rsa.RSAPrivateKey) -> None:
    """An App that was taken off an account gets no token for it."""
    response = ask(github, signed(github, app, key), "POST", "/1/access_tokens")
    assert response.status_code == 404


def test_an_installation_sees_the_private_repositories_of_its_account_alone(
    github: Server, installation: Installation
) -> None:
    """And its errors speak of an integration."""
    ours, theirs = list(github.world)[:2]
    github.world.transfer(ours, installation.account)
    github.world.transfer(theirs, github.world.people[0])
    for one in (ours, theirs):
        github.world.make_private(one)
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    with Client(github, github.credentials.mint(installation).value) as client:
        nodes = client.ask(query, ids=[ours.id, theirs.id])["data"]["nodes"]
    assert nodes == [{"id": ours.id}, None]


def test_an_installation_has_points_by_its_size(github: Server, app: App) -> None:
    """5,000, and 50 for each repository past 20, never more than 12,500."""
    owner = github.world.organizations[0]
    owned = len(github.world.owned(owner))
    for extra, points in ((20 - owned, 5000), (4, 5200), (400, 12_500)):
        for number in range(extra):
            size = next(iter(github.world)).size
            github.world.add(owner, f"more-{extra}-{number}", size)
        token = github.credentials.mint(github.credentials.install(app, owner))
        assert token.points_per_hour == points
