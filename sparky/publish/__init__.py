"""Where digests go to be read."""
