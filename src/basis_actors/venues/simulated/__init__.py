"""Simulated account domains: a chain with its protocols, and exchanges. `build` makes them from a configuration."""
