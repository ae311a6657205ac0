"""Exchanges as they are asked: one file a concern that all of them share, one family of files an exchange."""
