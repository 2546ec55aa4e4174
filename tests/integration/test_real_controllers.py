"""
Controllers as other people's software plays them: Modbus, S7, EtherNet/IP, IEC 104 and DNP3.

pymodbus and python-snap7 are in the lock; cpppo, c104 and yadnp3 stand in an environment of their
own (servers.txt), on which nothing here depends. `--simple` of cpppo: a device without a backplane.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.integration.real import Seen, Server, folder_of_servers, hall, stations_python
from tests.integration.test_stations import DNP3, IEC104

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SERVERS: Mapping[str, str | tuple[str, ...]] = {
    "modbus": "pymodbus (PyPI)",
    "s7": "python-snap7 (PyPI)",
    "enip": "cpppo (PyPI)",
}
"""Those of test_stations.py stand in the scan as well."""

PORTS = {"modbus": 20502, "s7": 20102, "mms": 20102, "enip": 20818, "iec104": 20404, "dnp3": 20000}

MODBUS = """
import logging, sys
from pymodbus import ModbusDeviceIdentification
from pymodbus.server import StartTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

logging.basicConfig(level=logging.INFO)
identity = None
if sys.argv[3] == "told":
    identity = ModbusDeviceIdentification(info_name={
        "VendorName": "Quayside Controls", "ProductCode": "QC-40", "MajorMinorRevision": "2.7",
        "ProductName": "Quayside 40", "ModelName": "QC-40/E", "UserApplicationName": "Sluice",
    })
image = [SimData(0, count=10, values=7, datatype=DataType.REGISTERS, readonly=True)]
StartTcpServer(SimDevice(1, image), identity=identity, address=(sys.argv[1], int(sys.argv[2])))
"""
S7 = """
import logging, signal, sys
from snap7.server import Server

logging.basicConfig(level=logging.INFO)
Server(log=True).start_to(sys.argv[1], int(sys.argv[2]))
signal.pause()
"""


@pytest.fixture(scope="module")
def seen(
    walkdown: Callable[..., Any], octets: Callable[[], int]
) -> Iterator[Callable[[str], Seen]]:
    net, stations = f"127.{octets()}.41", stations_python()

    def _server(last: int, protocol: str, interpreter: str, *words: object) -> Server:
        """AT and PORT among the words stand for where it is to listen."""
        at, port = f"{net}.{last}", PORTS[protocol]
        there = {"AT": at, "PORT": port, "AT:PORT": f"{at}:{port}"}
        told = [there.get(str(word), word) for word in words]
        return Server(words=(interpreter, *told), address=at, port=port)

    ours = sys.executable
    cpppo = ("-m", "cpppo.server.enip", "--simple", "--no-config", "-v", "--address", "AT:PORT")
    servers = {
        "pymodbus": _server(1, "modbus", ours, "-c", MODBUS, "AT", "PORT", "told"),
        "pymodbus, nameless": _server(2, "modbus", ours, "-c", MODBUS, "AT", "PORT", ""),
        "python-snap7": _server(3, "s7", ours, "-c", S7, "AT", "PORT"),
        "cpppo": _server(4, "enip", stations, *cpppo, "LEVEL=INT"),
        "c104": _server(5, "iec104", stations, "-c", IEC104, "PORT", "AT"),
        "yadnp3": _server(6, "dnp3", stations, "-c", DNP3, "PORT", "AT"),
    }
    asset = {"address": f"{net}.6", "dnp3_addresses": [10], "dnp3_master": 3}
    with folder_of_servers() as folder:
        with hall(walkdown, folder, servers, ports=PORTS, assets=[asset]) as found:
            yield found


NAMES = {
    "pymodbus": "modbus",
    "pymodbus, nameless": "modbus",
    "python-snap7": "s7",
    "cpppo": "enip",
    "c104": "iec104",
    "yadnp3": "dnp3",
}


@pytest.mark.parametrize(("name", "protocol"), NAMES.items())
def test_it_answers_in_its_own_protocol_and_in_no_other(
    seen: Callable[[str], Seen], name: str, protocol: str
) -> None:
    one = seen(name)

    assert one.answered == {protocol}
    assert one.bad_ends == []


def test_pymodbus_tells_what_it_was_given(seen: Callable[[str], Seen]) -> None:
    one = seen("pymodbus")

    assert one.identity == {
        "vendor": "Quayside Controls", "model": "QC-40/E", "order_number": "QC-40",
        "firmware": "2.7", "name": "Sluice", "device_class": "unknown",
    }  # fmt: skip
    assert all(fact["answers_without_login"] for fact in one.facts("modbus_access"))
    assert {fact["identification"] for fact in one.facts("modbus_access")} == {"objects"}
    assert "modbus_unauthenticated" in one.weaknesses


def test_pymodbus_without_objects_tells_its_server_id(seen: Callable[[str], Seen]) -> None:
    one = seen("pymodbus, nameless")

    assert one.identity == {"model": "Pymodbus", "device_class": "unknown"}
    assert one.fact("modbus_access")["identification"] == "server_id"
    assert one.fact("modbus_access")["run_indicator"] is True
    assert one.fact("device_identity")["basis"] == "text"


def test_python_snap7_is_the_cpu_that_it_plays(seen: Callable[[str], Seen]) -> None:
    """
    Its list 0x0011 has a header and one record; 0x001C, 0x0232 and 0x0424 are not in the lists'
    form, and nothing is read out of them.
    """
    one = seen("python-snap7")

    assert one.identity == {
        "vendor": "Siemens", "order_number": "6ES7 315-2EH14-0AB0", "device_class": "plc",
    }  # fmt: skip
    access = one.facts("s7_access")
    assert all(fact["answers_without_login"] for fact in access)
    assert {fact["tsap"] for fact in access} == {0x0302}
    for unknown in ("protection_level", "password_set", "operating_state"):
        assert {fact[unknown] for fact in access} == {None}


def test_cpppo_is_the_controller_that_it_plays(seen: Callable[[str], Seen]) -> None:
    one = seen("cpppo")

    assert one.identity == {
        "vendor": "Rockwell Automation/Allen-Bradley", "model": "1756-L61/B LOGIX5561",
        "firmware": "20.011", "serial": "006c061a", "device_class": "plc",
    }  # fmt: skip
    access = one.facts("cip_access")
    assert len(access) == 2, "the datagram, and the identity object in a session"
    assert all(fact["answers_without_login"] for fact in access)
    assert {(f["vendor_id"], f["device_type"], f["product_code"]) for f in access} == {(1, 14, 54)}
    assert "enip_unauthenticated" in one.weaknesses


def test_a_station_and_an_outstation_take_anybody(seen: Callable[[str], Seen]) -> None:
    for name, protocol in (("c104", "iec104"), ("yadnp3", "dnp3")):
        access = seen(name).access(protocol)

        assert access["answers_without_login"] is True
        assert access["encrypted"] is False
        assert "service_unauthenticated" in seen(name).weaknesses
    assert seen("yadnp3").access("dnp3")["details"] == [["link address", "10"]]


def test_nobody_complains_of_us(seen: Callable[[str], Seen]) -> None:
    """What each writes down of a client that errs, at the level that it was started with."""
    assert "Exception" not in seen("pymodbus").log
    assert "ERROR" not in seen("pymodbus").log
    assert seen("python-snap7").log.count("ISO connection established") == 3
    complaints = ("ERROR", "WARNING", "Traceback")
    for complaint in complaints:
        assert complaint not in seen("python-snap7").log
    # It plays a controller of a chassis and has no backplane: the first question about a slot ends
    # its session, and that is all.
    log = seen("cpppo").log
    told = [line for line in log.splitlines() if any(one in line for one in complaints)]
    assert len(told) == 3, told
    assert "Unconnected Send route path [{'port': 1, 'link': 0}] differs" in log
    own = ("Session ended", "none found", "Traceback (most")  # its own words for that refusal
    assert all(any(one in line for one in own) for line in told)
    assert "processed   3 requests" in log  # register, read, the first slot
