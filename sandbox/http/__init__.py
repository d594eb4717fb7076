"""The HTTP server that the API and the gateway share."""
