"""Stores of sessions and links, behind one interface."""
