"""Versions of the site state, oldest first."""
