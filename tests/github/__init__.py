"""A GitHub of one's own: the published schema over a world that is known in every detail.

An HTTP server on loopback that executes GitHub's GraphQL schema with graphql-core, answers the
REST requests that Sparky makes, and keeps GitHub's documented rules: points, node limits, secondary
limits, cursors, permissions, timeouts, and the shapes of its errors. What it serves is a `World`:
owners, people and repositories drawn from a seed, and made only when somebody looks.

    world = World(seed=1, repositories=300)
    with serve(world) as github:
        github.url, github.graphql_url          # where to ask
        github.token()                          # a new user's token
        github.faults.add(Fault(what=What.BAD_GATEWAY, times=3))
        github.accounting.points()              # what it has cost so far
    world.truth(repository.id, since, until)    # what there was to be found

`tests.github.fixture` has it as a pytest fixture; `python -m tests.github` runs it by hand.
Whoever adds a rule says in `tests/unit/github_server` where GitHub states it.
"""

from tests.github.clock import Clock
from tests.github.faults import Fault, What
from tests.github.limits import Limits
from tests.github.server import Server, serve
from tests.github.truth import Truth
from tests.github.world import World

__all__ = ["Clock", "Fault", "Limits", "Server", "Truth", "What", "World", "serve"]
