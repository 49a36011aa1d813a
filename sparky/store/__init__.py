"""Postgres, the truth: the schema, and one gateway that returns model values."""
