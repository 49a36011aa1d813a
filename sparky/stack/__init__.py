"""The Swarm of Sparks: what its engines are to be given, and whether its nodes are ready.

`plan` reckons, `rendering` writes what was reckoned, `hostfile` names the nodes, `preflight` looks
at a real Swarm through `docker` and at each of its nodes through `node`.
"""
