"""Wiring: what puts actors, venues, market and log together, for a backtest, a live process, a story of faults."""
