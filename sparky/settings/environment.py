"""The environment of this process and of those that it starts; nobody else looks at it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from sparky.settings.keys import Settings

PREFIX: Final = "SPARKY_"
TEST_PREFIX: Final = "SPARKY_TEST_"
"""Names that belong to the tests; they are neither settings nor refused."""
FAILPOINTS: Final = f"{TEST_PREFIX}FAILPOINTS"
"""Names the folder of failpoints, as `sparky.settings.failpoints` tells. For tests alone."""

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_\w+|TMPDIR|XDG_\w+"
    r"|SSH_AUTH_SOCK|SSH_AGENT_PID|KRB5\w*|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE"
    r"|(?:https?|no|all|ftp)_proxy|(?:HTTPS?|NO|ALL|FTP)_PROXY"
    r"|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w+|COVERAGE_\w+|CUDA_\w+|OMP_\w+"
    rf"|{TEST_PREFIX}\w+"
)
"""What a child process gets from our own environment; anything else may be somebody's secret."""


def process_env() -> Mapping[str, str]:
    """The environment of this process."""
    return os.environ  # noqa: TID251  # The one place.


def base_env(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for processes that need no settings, such as git and the services.

    It holds what programs need (PATH, HOME, locale, proxies, …) and none of Sparky's settings.
    """
    env = process_env() if env is None else env
    return {name: value for name, value in env.items() if _INHERITED.fullmatch(name)}


def child_env(settings: Settings, **overrides: Any) -> dict[str, str]:
    """The environment for Sparky's own processes: `load` there gives `settings` with `overrides`.

    Secrets are in it, so hand it to a process and never to a log.

    Raises:
        UsageError: the overridden settings are wrong.
    """
    changed = settings.with_changes(**overrides) if overrides else settings
    env = base_env()
    for name in Settings.model_fields:
        value = getattr(changed, name)
        if isinstance(value, SecretStr):
            env[PREFIX + name.upper()] = value.get_secret_value()
        elif name == "engines":
            if value:
                env[f"{PREFIX}ENGINES"] = json.dumps([engine.revealed() for engine in value])
        elif isinstance(value, tuple):
            env[PREFIX + name.upper()] = ",".join(value)
        elif value is not None:
            env[PREFIX + name.upper()] = str(value)
    # Everything is in the environment already; a file could only add what was taken out.
    env[f"{PREFIX}CONFIG"] = os.devnull
    return env
