"""
The judge: reads captures and says what was sent, how fast, and what of it was not allowed.

It shares no code with the scanner, the probes or the lab. What each PDU is, two readers say
independently of each other: tshark's dissectors and a small parser of our own; where they differ
the PDU counts as unknown, and an unknown PDU breaks the promise as a write does.
"""
