"""The engine: site, plan, door, store, judging. See docs/architecture.md for the rooms."""

__version__ = "0.1.0"
