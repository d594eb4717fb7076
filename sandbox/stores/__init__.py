"""The seam to where sessions are kept."""
