"""Versions of the run database, oldest first."""
