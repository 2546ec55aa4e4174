"""
Evidence that needs no packet: configurations and other text, read into facts.

Everything here is a pure function of text and total: any text gives a value, and what the text
does not tell stays None. Secrets come in with the text and never go out: the caller passes
`hide`, which turns a secret into its keyed hash.
"""

from __future__ import annotations

from collections.abc import Callable

Hide = Callable[[str], str]
"""Keyed hash of a secret, in hex."""
