"""What the lab raises on purpose; the text says what to do and is fit to be shown to a user."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked: a plant file, a port, a stale state or a broken record."""
