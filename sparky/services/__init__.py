"""The services that Sparky starts itself when none are configured.

`attach` gives Postgres, Valkey and llama.cpp for as long as its block runs; `weights.ensure` gives
the checked file of a model. How they are kept and stopped: docs/services.md.
"""

from sparky.services.client import attach
from sparky.services.wire import Endpoints, Wanted

__all__ = ["Endpoints", "Wanted", "attach"]
