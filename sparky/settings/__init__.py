"""Settings: the only reader of the environment and of `sparky.toml`.

The environment (`SPARKY_LLM_URL`) beats the file (`llm_url`, or `url` under `[llm]`), and the
file beats the defaults. A secret may stand in a file of its own that `SPARKY_…_FILE` names.
"""

from sparky.settings.engines import EngineSettings
from sparky.settings.environment import base_env, child_env
from sparky.settings.keys import SECRETS, Settings
from sparky.settings.reading import load

__all__ = ["SECRETS", "EngineSettings", "Settings", "base_env", "child_env", "load"]
