"""
DNP3: nothing is asked. An outstation knows one master, whose place a new connection may take.

Source: IANA's registry of port numbers (dnp).
"""

from __future__ import annotations

from scanner.audit.requests.form import Seat

SEAT = Seat(port=20000, protocol="DNP3", short="DNP3")
