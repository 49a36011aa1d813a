"""The Swarm of Sparks: what its engines are to be given, and whether its nodes are ready.

`plan` reckons, `rendering` writes what was reckoned, `hostfile` names the nodes, `preflight` judges
a real Swarm, which `survey` looks at through `docker`, and at each of its nodes through `node`;
`granted` is what the stack's file takes for granted.
"""
