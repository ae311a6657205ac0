"""The log of a run: its directory, the domain events in it, the component logs, and how events are read back."""
