"""Delivery of domain events (:mod:`sandbox.domain.events`)."""
