"""The seam to where containers live."""
