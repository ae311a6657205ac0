"""Pure functions on numbers: lending, perps, margin, costs, attribution, metrics. No I/O, no state."""
