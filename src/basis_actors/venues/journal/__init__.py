"""Order journals: on disk for a process that must survive a kill, in memory for simulated time."""
