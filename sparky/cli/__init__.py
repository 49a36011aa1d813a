"""The command line: parse, call, print. A module a command group."""
