"""Starts TensorRT-LLM in this container: `launch replica | rank | member COMMAND | sweep | end | healthy`.

    replica   one server on this node alone
    rank      one server over several nodes: this container holds one of its ranks
    member    on each rank, beneath mpirun: choose the network, then become the command
    sweep     stop what an earlier server left running in this container
    end       ask the server in this container to stop; a rank asks its head for it
    healthy   whether this container does its part; for the health check

Standard library alone: it runs with the Python of TensorRT-LLM's image.
"""

from __future__ import annotations

import os
import sys

from swarm.trtllm.launcher import commands
from swarm.trtllm.launcher.config import Config, Wrong


def main(arguments: list[str]) -> int:
    """Do what the first argument says; exit code 2 for wrong settings."""
    # Asked for over ssh, which brings no settings along.
    if arguments in (["sweep"], ["end"]):
        {"sweep": commands.sweep, "end": commands.end}[arguments[0]]()
        return 0
    try:
        config = Config.read(os.environ)
        match arguments:
            case [] | ["replica"]:
                commands.replica(config)
            case ["rank"]:
                return commands.rank(config)
            case ["member", *command] if command:
                commands.member(config, command)
            case ["healthy"]:
                return commands.healthy(config)
            case _:
                raise Wrong(f"{' '.join(arguments)} is no command of the launcher")
    except Wrong as error:
        commands.log(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
