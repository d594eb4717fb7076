"""HTTP server shared by the API and the gateway."""
