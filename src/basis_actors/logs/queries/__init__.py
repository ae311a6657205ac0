"""Answers questions to the event log of one run, and to two of them. Printing is left to the command line."""
