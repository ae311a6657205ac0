"""How a live process is seen from outside: metrics, an HTTP server, the delay of its event loop, alerts."""
