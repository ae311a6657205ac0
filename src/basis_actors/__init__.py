"""Basis Actors: an actor engine for yield and market-neutral strategies, in backtest and live."""
