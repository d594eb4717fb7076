"""Preview addresses, their destinations and access; live authorizations."""
