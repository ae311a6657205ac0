"""How a running process is told what to do: one request, one answer, over a socket in its state directory."""
