"""Accounts at real exchanges: what an order becomes on the wire, and what the wire becomes in the ledger."""
