"""Who did it."""

from io import BytesIO

import pytest

from sparky.model import Role
from sparky.source.git import Pipes
from sparky.source.people import People


def people(*answers: str) -> People:
    """People, with what the mailmap will answer, in order."""
    return People(Pipes(BytesIO(), BytesIO("".join(f"{a}\n" for a in answers).encode())), "a test")


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.github.com"),
        ("renovate-bot", "someone@example.org"),
        ("Renovate Bot", "bot@renovateapp.com"),
        ("github-actions", "github-actions@github.com"),
        ("Release Machine", "release-bot@example.org"),
        ("Builder", "noreply@ci.example.org"),
        ("bors", "bors@example.org"),
    ],
)
def test_a_bot_is_told_apart(name: str, email: str) -> None:
    """Machines are known by their names and addresses."""
    assert people().person(name.encode(), email.encode()).bot


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("Ada Abbot", "abbot@example.org"),
        ("Botho Strauss", "botho@example.org"),
        ("Ada Byron", "12+ada@users.noreply.github.com"),
        ("Robot Fan", "fan@robots.example.org"),
    ],
)
def test_a_human_is_no_bot(name: str, email: str) -> None:
    """Names and addresses that hold the letters `bot` are not enough."""
    assert not people().person(name.encode(), email.encode()).bot


def test_a_login_stands_in_a_noreply_address() -> None:
    """GitHub's private addresses name the account."""
    one = people().person(b"Ada", b"12345+ada-b@users.noreply.github.com")
    two = people().person(b"Ada B.", b"ada-b@users.noreply.github.com")
    assert one.login == two.login == "ada-b"
    assert one.key == two.key


def test_nobody_is_without_a_name() -> None:
    """An empty name becomes the address's first part, and then `unknown`."""
    assert people().person(b"", b"ada@example.org").name == "ada"
    assert people().person(b" ", b"").name == "unknown"


def test_co_authors_are_credited_as_the_mailmap_knows_them() -> None:
    """Each co-author line in any case counts once; the author does not co-author."""
    everybody = people("Grace Hopper <grace@example.org>", "Ada Byron <ada@example.org>")
    ada = everybody.person(b"Ada Byron", b"ada@example.org")
    body = (
        b"Text\n\nCo-authored-by: G. Hopper <g@old.example>\n"
        b"co-Authored-By: G. Hopper <g@old.example>\n"
        b"Co-authored-by: Ada <ada@home.example>\n"
        b"Not-co-authored-by: Eve <eve@example.org>\nCo-authored-by: nobody\n"
    )
    found = everybody.of_commit(ada, ada, body)
    assert [(credit.person.name, credit.role) for credit in found] == [
        ("Ada Byron", Role.AUTHOR),
        ("Grace Hopper", Role.CO_AUTHOR),
    ]


@pytest.mark.parametrize(
    ("name", "email", "credited"),
    [
        (b"Grace Hopper", b"grace@example.org", True),
        (b"Ada Byron", b"ada@home.example", False),
        (b"A. Byron", b"ADA@example.org", False),
        (b"GitHub", b"noreply@github.com", False),
    ],
)
def test_a_committer_is_credited_where_it_is_somebody_else(
    name: bytes, email: bytes, credited: bool
) -> None:
    """The author by another address, and a forge's button, are no committers."""
    everybody = people()
    ada = everybody.person(b"Ada Byron", b"ada@example.org")
    roles = [credit.role for credit in everybody.of_commit(ada, everybody.person(name, email), b"")]
    assert roles == [Role.AUTHOR, Role.COMMITTER][: 1 + credited]
