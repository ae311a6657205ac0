"""Signals on the direction of a price: read from a file, received from an endpoint, or made by a model in the run."""
