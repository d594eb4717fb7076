"""Periodic jobs on one clock."""
