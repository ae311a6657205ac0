"""Fills in what the documents take from the code, and builds the site."""
