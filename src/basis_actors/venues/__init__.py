"""Everything that carries out orders: simulated venues, and the adapters of live ones."""
