"""What holds for every test: nothing of the machine that runs it leaks in."""

import os

from hypothesis import settings

# The same examples on every run of continuous integration, fresh ones elsewhere; never timed.
settings.register_profile("sparky", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("sparky")

# The settings of Sparky and of git that belong to whoever runs the tests.
for name in list(os.environ):
    if name.startswith(("SPARKY_", "GIT_")):
        del os.environ[name]
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.environ["GIT_CONFIG_NOSYSTEM"] = "1"

pytest_plugins = ["tests.servers"]

# They need an environment and a Docker Engine of their own: `python -m tests.smoke`.
collect_ignore = ["smoke"]
