"""Titles and texts that read like a project's."""

from __future__ import annotations

from random import Random

VERBS = "Add Fix Drop Rework Simplify Guard Document Rename Split Cache Test Retry".split()
THINGS = (
    "the parser,token refresh,retries on timeout,the empty state,paging of results,the settings "
    "page,log rotation,the upload queue,error messages,the build on arm64,date handling,the "
    "search index,session clean-up,the command line,the cache key"
).split(",")
PLACES = "core api docs web cli storage auth build".split()
REASONS = (
    "It failed when the input was empty.",
    "Users asked for it more than once.",
    "The old way held a lock for too long.",
    "Measured on the largest data set that we have.",
    "No change in behaviour.",
)
PACKAGES = "alpha-http beta-json gamma-log delta-time omega-test".split()


def title(random: Random) -> str:
    # One draw for all three, as this is called more often than anything else.
    draw, place = divmod(int(random.random() * len(VERBS) * len(THINGS) * len(PLACES)), len(PLACES))
    verb, thing = divmod(draw, len(THINGS))
    return f"{VERBS[verb]} {THINGS[thing]} in {PLACES[place]}"


def bump(random: Random) -> str:
    major, minor = random.randint(1, 9), random.randint(0, 20)
    return f"Bump {random.choice(PACKAGES)} from {major}.{minor} to {major}.{minor + 1}"


def body(random: Random) -> str:
    draw = random.random()
    return "" if draw < 0.33 else REASONS[int(draw * 1000) % len(REASONS)]
