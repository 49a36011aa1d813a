"""Servers that stand in for engines which cannot run here, written from their documentation.

Each keeps what a client must cope with: addresses, accepted fields, limits, wordings and shapes
of errors. They say nothing clever: the smallest value of the schema, or a fixed sentence.
"""
