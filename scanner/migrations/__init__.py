"""Schema history: `run` for run databases, `state` for the site state. Run by scanner.database."""
