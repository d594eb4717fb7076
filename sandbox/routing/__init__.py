"""Preview registry, destinations, access control and live authorizations."""
