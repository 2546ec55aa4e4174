"""
The auditor: holds what a scan did against the safety contract, and says so with numbers.

It shares no code with what it judges: not with the guards, the door or the probes. Requests are
named by a small reader of its own (`requests`), packets by another (`packets`); `certificate` turns
both into one row per promise.
"""
