"""
IEC 60870-5-104: nothing is asked. A new connection may end that of the control centre.

Source: IANA's registry of port numbers (iec-104).
"""

from __future__ import annotations

from scanner.audit.requests.form import Seat

SEAT = Seat(port=2404, protocol="IEC 60870-5-104", short="IEC 104")
