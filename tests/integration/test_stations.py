"""
The two questions to telecontrol stations, asked of stations that other people built.

c104 (GPLv3) and yadnp3 live in an environment of their own (servers.txt, made by .ci/run), on which
nothing here depends; WALKDOWN_STATIONS names its interpreter. Each station is a process of it.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from probes import dnp3, iec104
from scanner.errors import Silent
from scanner.facts import ServiceAccess
from tests.integration.real import stations_python

pytestmark = pytest.mark.integration

SERVERS: Mapping[str, str | tuple[str, ...]] = {"iec104": "c104 (PyPI)", "dnp3": "yadnp3 (PyPI)"}

IEC104 = """
import sys, c104
server = c104.Server(ip=sys.argv[2], port=int(sys.argv[1]))
server.add_station(common_address=47)
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop()
"""
DNP3 = """
import sys
import opendnp3 as o

class Quiet(o.IChannelListener):
    def OnStateChange(self, state): pass

class Commands(o.ICommandHandler): pass
class Application(o.IOutstationApplication): pass

manager, listener = o.DNP3Manager(1), Quiet()
there = o.IPEndpoint(sys.argv[2], int(sys.argv[1]))
channel = manager.AddTCPServer("s", o.LogLevels(), o.ServerAcceptMode.CloseNew, there, listener)
config = o.OutstationStackConfig(o.DatabaseConfig(3))
config.link.LocalAddr, config.link.RemoteAddr = 10, 3
commands, application = Commands(), Application()
outstation = channel.AddOutstation("o", commands, application, config)
outstation.Enable()
print("ready", flush=True)
sys.stdin.read()
manager.Shutdown()
"""


@contextmanager
def station(code: str) -> Iterator[int]:
    """The port of a station that stands while the block runs."""
    interpreter = stations_python()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [interpreter, "-c", code, str(port), "127.0.0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield port
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def test_a_station_of_iec_104_confirms_a_test_frame_on_a_connection_not_started(
    governed,
) -> None:
    with station(IEC104) as port:
        async with governed(iec104.PROBE, port) as session:
            (access,) = await iec104.run(session)

    assert access == ServiceAccess(
        protocol="iec104", answers_without_login=True, encrypted=False
    )  # fmt: skip


async def test_an_outstation_of_dnp3_answers_its_address_in_its_masters_name(governed) -> None:
    with station(DNP3) as port:
        options = {"dnp3_addresses": (10, 11), "dnp3_master": 3}
        async with governed(dnp3.PROBE, port, options=options) as session:
            (access,) = await dnp3.run(session)

    assert access.details == (("link address", "10"),)


async def test_an_outstation_of_dnp3_is_silent_to_a_stranger(governed) -> None:
    with station(DNP3) as port:
        async with governed(dnp3.PROBE, port, options={"dnp3_addresses": (10,)}) as session:
            with pytest.raises(Silent):
                await dnp3.run(session)
