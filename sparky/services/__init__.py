"""The services that Sparky starts itself when none are configured.

`attach` gives Postgres, Valkey and llama.cpp for as long as its block runs; `remove` deletes what
they keep; `weights.ensure` gives the checked file of a model. How it works: docs/services.md.
"""

from sparky.services.client import attach
from sparky.services.removal import remove
from sparky.services.wire import Endpoints, Wanted

__all__ = ["Endpoints", "Wanted", "attach", "remove"]
