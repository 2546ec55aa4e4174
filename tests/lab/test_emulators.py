"""Every emulator answers a client of its protocol that somebody else wrote."""

from __future__ import annotations

import asyncio
import json
import ssl
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import paramiko
import pytest
import telnetlib3
from netmiko import ConnectHandler
from pycomm3 import CIPDriver
from pycomm3.exceptions import ResponseError
from pymodbus.client import AsyncModbusTcpClient
from pysnmp.hlapi.v3arch.asyncio import (
    USM_AUTH_HMAC96_SHA,
    USM_PRIV_CFB128_AES,
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    get_cmd,
    set_cmd,
    walk_cmd,
)
from pysnmp.proto.rfc1902 import OctetString
from snap7.async_client import AsyncClient
from snap7.error import S7Error
from snap7.type import Area

# --- Modbus ------------------------------------------------------------------------------------


async def modbus(plant) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient(
        plant.ledgers["D1"].address,
        port=plant.port("D1", "modbus"),
        timeout=2,
        retries=0,
        reconnect_delay=0,
    )
    assert await client.connect()
    return client


OBJECTS = {0: "Example", 1: "E-1", 2: "v1", 4: "Example One", 5: "E-1 A"}


async def test_modbus_tells_basic_and_regular_objects(begin) -> None:
    plant = await begin({"services": [{"protocol": "modbus", "objects": OBJECTS}]})
    client = await modbus(plant)

    basic = await client.read_device_information(read_code=1, object_id=0, device_id=255)
    regular = await client.read_device_information(read_code=2, object_id=0, device_id=255)
    client.close()

    assert basic.information == {0: b"Example", 1: b"E-1", 2: b"v1"}
    assert regular.information[5] == b"E-1 A"


async def test_two_modbus_servers_in_one_process_keep_their_own_identity(begin) -> None:
    plant = await begin(
        {"services": [{"protocol": "modbus", "objects": OBJECTS}]},
        {"services": [{"protocol": "modbus", "objects": {0: "Other"}}]},
    )
    client = await modbus(plant)

    reply = await client.read_device_information(read_code=1, object_id=0, device_id=1)
    client.close()

    assert reply.information[0] == b"Example"


async def test_modbus_without_identity_answers_with_exceptions(begin) -> None:
    plant = await begin({"services": [{"protocol": "modbus", "units": [1]}]})
    client = await modbus(plant)

    refused = await client.read_device_information(read_code=1, object_id=0, device_id=1)
    nobody = await client.report_device_id(device_id=9)
    client.close()

    assert (refused.isError(), refused.exception_code) == (True, 1)
    assert (nobody.isError(), nobody.exception_code) == (True, 0x0B)


async def test_modbus_reports_its_server_id(begin) -> None:
    plant = await begin(
        {"services": [{"protocol": "modbus", "server_id": "PM710", "running": False}]}
    )
    client = await modbus(plant)

    reply = await client.report_device_id(device_id=1)
    client.close()

    assert b"PM710" in reply.identifier


async def test_a_modbus_write_is_carried_out_and_flagged(begin) -> None:
    plant = await begin({"services": [{"protocol": "modbus"}]})
    client = await modbus(plant)

    await client.write_register(1, 42, device_id=1)
    read = await client.read_holding_registers(1, count=1, device_id=1)
    client.close()

    assert read.registers == [42]
    assert plant.ledgers["D1"].writes == {"modbus 6": 1}


# --- S7 ----------------------------------------------------------------------------------------

CPU: dict[str, Any] = {
    "protocol": "s7",
    "order_number": "6ES7 315-2EH14-0AB0",
    "firmware": "3.2.7",
    "components": {
        1: "STATION", 2: "PLC_1", 3: "PLANT", 4: "Original Siemens Equipment",
        5: "S C-X1234567", 7: "CPU 315-2 PN/DP",
    },
    "protection": 2,
    "password_level": 2,
}  # fmt: skip


async def s7(plant) -> AsyncClient:
    client = AsyncClient()
    client.set_connection_type(3)
    await client.connect(plant.ledgers["D1"].address, 0, 2, tcp_port=plant.port("D1", "s7"))
    return client


async def test_s7_tells_order_number_components_and_protection(begin) -> None:
    plant = await begin({"services": [CPU]})
    client = await s7(plant)

    order = await client.get_order_code()
    info = await client.get_cpu_info()
    protection = await client.read_szl(0x0232, 4)
    await client.disconnect()

    assert order.OrderCode.startswith(b"6ES7 315-2EH14-0AB0")
    assert info.ModuleTypeName == b"CPU 315-2 PN/DP"
    assert info.SerialNumber == b"S C-X1234567"
    record = bytes(byte & 0xFF for byte in protection.Data[:16])
    assert record.hex() == "00280001" + "0004" + "0002" * 3 + "0001" + "0000"
    assert not plant.ledgers["D1"].writes


async def test_a_newer_cpu_refuses_components_and_protection(begin) -> None:
    newer = {k: v for k, v in CPU.items() if k not in ("components", "protection")}
    plant = await begin({"services": [newer]})
    client = await s7(plant)

    order = await client.get_order_code()
    refused = []
    for szl, index in ((0x001C, 0), (0x0232, 4)):
        try:
            await client.read_szl(szl, index)
        except S7Error:
            refused.append(szl)
    await client.disconnect()

    assert order.OrderCode.startswith(b"6ES7")
    assert refused == [0x001C, 0x0232]


async def test_an_s7_write_is_flagged(begin) -> None:
    plant = await begin({"services": [CPU]})
    client = await s7(plant)

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the library makes of it
        await client.write_area(Area.DB, 1, 0, bytearray(b"\x01\x02"))
        await client.plc_stop()
        raise ValueError
    await client.disconnect()

    assert plant.ledgers["D1"].writes


# --- EtherNet/IP -------------------------------------------------------------------------------

DRIVE: dict[str, Any] = {
    "protocol": "enip", "vendor_id": 1, "device_type": 14, "product_code": 149,
    "revision": "27.11", "serial": "c01e335e", "product_name": "1769-L24ER", "status": 0x3060,
}  # fmt: skip


async def test_enip_answers_pycomm3_and_loses_no_session(begin) -> None:
    plant = await begin({"services": [DRIVE]})
    path = f"{plant.ledgers['D1'].address}:{plant.port('D1', 'enip')}"

    def client() -> tuple[Any, Any]:
        listed = CIPDriver.list_identity(path)
        with CIPDriver(path) as driver:
            read = driver.generic_message(
                service=b"\x01", class_code=b"\x01", instance=b"\x01", connected=False
            )
        return listed, read

    listed, read = await asyncio.to_thread(client)
    await asyncio.sleep(0.05)

    assert listed["product_name"] == "1769-L24ER"
    assert (listed["serial"], listed["revision"]) == ("c01e335e", {"major": 27, "minor": 11})
    assert (
        read.value
        == bytes.fromhex("01000e009500")
        + b"\x1b\x0b"
        + bytes.fromhex("60305e331ec0")
        + b"\x0a1769-L24ER"
    )
    assert plant.ledgers["D1"].leaked_sessions == 0


async def test_an_enip_session_without_goodbye_is_a_leak_and_a_set_is_a_write(begin, dial) -> None:
    plant = await begin({"services": [DRIVE]})

    def client() -> None:
        sock = dial(1, 44818)
        sock.sendall(bytes.fromhex("6500040000000000" + "00" * 16 + "01000000"))
        session = sock.recv(100)[4:8]
        cip = b"\x10\x03\x20\x01\x24\x01\x30\x07\x01\x02"
        data = bytes(6) + b"\x02\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
        sock.sendall(b"\x6f\0" + len(data).to_bytes(2, "little") + session + bytes(16) + data)
        assert sock.recv(200)[42] == 0x08  # service not supported
        sock.close()

    await asyncio.to_thread(client)
    await asyncio.sleep(0.05)

    ledger = plant.ledgers["D1"]
    assert ledger.leaked_sessions == 1
    assert ledger.writes == {"enip SendRRData service 0x10": 1}


CHASSIS: dict[str, Any] = {
    **DRIVE, "product_name": "1756-L85E/B", "slot": 0,
    "modules": {
        2: {**DRIVE, "device_type": 10, "product_name": "1756-IF16/A", "serial": "00a7315c"},
        3: {**DRIVE, "mute": True},
    },
}  # fmt: skip


async def test_a_chassis_answers_pycomm3_for_each_of_its_slots(begin) -> None:
    plant = await begin({"services": [CHASSIS]})
    path = f"{plant.ledgers['D1'].address}:{plant.port('D1', 'enip')}"
    found: dict[int, str] = {}

    def client() -> None:
        with CIPDriver(path) as driver:
            for slot in range(5):
                with suppress(ResponseError):
                    found[slot] = driver.get_module_info(slot)["product_name"]

    await asyncio.to_thread(client)

    assert found == {0: "1756-L85E/B", 2: "1756-IF16/A"}
    assert not plant.ledgers["D1"].writes


async def test_what_an_enip_chassis_refuses_is_as_a_bridge_does(begin, dial) -> None:
    """General and extended status of a slot that is empty, silent, on another port, or far."""
    plant = await begin({"services": [CHASSIS]})
    routes = {
        "empty": "01000104", "mute": "01000103", "port": "01000203", "hops": "020001000102",
        "cut": "0100",
    }  # fmt: skip
    told: dict[str, bytes] = {}

    def client() -> None:
        sock = dial(1, 44818)
        session = registered(sock)
        for name, route in routes.items():
            message = f"52022006240101fa0600010220012401{route}"
            told[name] = asked(sock, session, bytes.fromhex(message))
        message = "52022006240101fa0a00100320012401300701020100" + "0102"
        told["set"] = asked(sock, session, bytes.fromhex(message))
        sock.sendall(b"\x66\0\0\0" + session + bytes(16))
        sock.close()

    await asyncio.to_thread(client)

    assert told == {
        "empty": bytes.fromhex("d2000101 1203 0100"),
        "mute": bytes.fromhex("81000800"),
        "port": bytes.fromhex("d2000101 1103 0100"),
        "hops": bytes.fromhex("d2000101 1103 0200"),
        "cut": bytes.fromhex("d2001300"),
        "set": bytes.fromhex("90000800"),
    }
    assert plant.ledgers["D1"].writes == {"enip SendRRData routed service 0x10": 1}


async def test_a_micrologix_tells_its_catalogue_text_as_recorded(
    begin, dial, captures: Path
) -> None:
    name = "enip-pccc__ab_micrologix1400_1766-lec.json"
    [exchange] = json.loads((captures / name).read_text())["exchanges"]
    request, reply = (bytes.fromhex(exchange[f"{one}_hex"])[40:] for one in ("request", "response"))
    plant = await begin({"services": [{**DRIVE, "catalogue": "1766-LEC"}]})
    told: list[bytes] = []

    def client() -> None:
        sock = dial(1, 44818)
        session = registered(sock)
        told.append(asked(sock, session, request))
        told.append(asked(sock, session, request[:13] + bytes.fromhex("0f00010080 06")))
        sock.sendall(b"\x66\0\0\0" + session + bytes(16))
        sock.close()

    await asyncio.to_thread(client)

    assert told[0] == reply
    assert told[1] == reply[:11] + bytes.fromhex("4f100100")
    assert plant.ledgers["D1"].writes == {"enip SendRRData PCCC 0x0f 0x80": 1}


def registered(sock: Any) -> bytes:
    sock.sendall(bytes.fromhex("6500040000000000" + "00" * 16 + "01000000"))
    return bytes(sock.recv(100)[4:8])


def asked(sock: Any, session: bytes, cip: bytes) -> bytes:
    """The CIP reply to one unconnected message."""
    data = bytes(6) + b"\x02\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
    sock.sendall(b"\x6f\0" + len(data).to_bytes(2, "little") + session + bytes(16) + data)
    return bytes(sock.recv(400)[40:])


# --- SNMP --------------------------------------------------------------------------------------

AGENT: dict[str, Any] = {
    "protocol": "snmp",
    "versions": ["1", "2c", "3"],
    "communities": ["public"],
    "users": {"audit": {"auth": "authkey123", "priv": "privkey123"}},
    "engine_id": "800000f80300112233445566",
    "system": {"descr": "Example Switch", "object_id": "1.3.6.1.4.1.248.14", "name": "sw"},
    "interfaces": [{"name": "1/1", "mac": "00:11:22:33:44:55"}],
    "entity": [{"descr": "Chassis", "serial": "S1", "model": "M1"}],
    "neighbours": [
        {"local_port": 1, "chassis_mac": "00:11:22:33:44:66", "port_id": "p", "system_name": "n"}
    ],
}
V1 = CommunityData("public", mpModel=0)
V2C = CommunityData("public", mpModel=1)
OTHER = CommunityData("other", mpModel=0)
V3 = UsmUserData(
    "audit",
    "authkey123",
    "privkey123",
    authProtocol=USM_AUTH_HMAC96_SHA,
    privProtocol=USM_PRIV_CFB128_AES,
)


async def snmp_target(plant) -> UdpTransportTarget:
    return await UdpTransportTarget.create(
        (plant.ledgers["D1"].address, plant.port("D1", "snmp")), timeout=0.4, retries=0
    )


@pytest.mark.parametrize(
    "auth",
    [V1, V2C, V3],
    ids=["v1", "v2c", "v3"],
)
async def test_snmp_answers_in_every_version_it_speaks(begin, auth) -> None:
    plant = await begin({"services": [AGENT]})
    client = SnmpEngine()

    error, status, _, rows = await get_cmd(
        client,
        auth,
        await snmp_target(plant),
        ContextData(),
        *[ObjectType(ObjectIdentity(f"1.3.6.1.2.1.1.{n}.0")) for n in (1, 2, 5)],
        lookupMib=False,
    )
    client.close_dispatcher()

    assert (error, int(status)) == (None, 0)
    assert [row[1].prettyPrint() for row in rows] == ["Example Switch", "1.3.6.1.4.1.248.14", "sw"]


async def test_snmp_is_silent_to_other_communities_and_other_versions(begin) -> None:
    plant = await begin({"services": [{**AGENT, "versions": ["1"]}]})
    client = SnmpEngine()
    oid = ObjectType(ObjectIdentity("1.3.6.1.2.1.1.1.0"))

    outcomes = [
        (
            await get_cmd(
                client, auth, await snmp_target(plant), ContextData(), oid, lookupMib=False
            )
        )[0]
        for auth in (OTHER, V2C)
    ]
    client.close_dispatcher()

    assert all("No SNMP response" in str(outcome) for outcome in outcomes)


async def test_snmp_tables_can_be_walked_and_nothing_can_be_written(begin) -> None:
    plant = await begin({"services": [AGENT]})
    client = SnmpEngine()
    target = await snmp_target(plant)
    auth = V2C

    walked = {
        str(name): value.prettyPrint()
        async for _, _, _, rows in walk_cmd(
            client, auth, target, ContextData(), ObjectType(ObjectIdentity("1.3.6.1.2.1")),
            lookupMib=False,
        )
        for name, value in rows
    }  # fmt: skip
    refused = await set_cmd(
        client, auth, target, ContextData(),
        ObjectType(ObjectIdentity("1.3.6.1.2.1.1.5.0"), OctetString("x")), lookupMib=False,
    )  # fmt: skip
    client.close_dispatcher()

    assert walked["1.3.6.1.2.1.2.2.1.2.1"] == "1/1"
    assert walked["1.3.6.1.2.1.47.1.1.1.1.11.1"] == "S1"
    assert int(refused[1]) != 0
    assert plant.ledgers["D1"].writes == {"snmp v2c SetRequest": 1}


async def test_an_encrypted_snmp_write_is_flagged_too(begin) -> None:
    plant = await begin({"services": [AGENT]})
    client = SnmpEngine()

    _, status, _, _ = await set_cmd(
        client, V3, await snmp_target(plant), ContextData(),
        ObjectType(ObjectIdentity("1.3.6.1.2.1.1.5.0"), OctetString("x")), lookupMib=False,
    )  # fmt: skip
    client.close_dispatcher()

    assert int(status) != 0
    assert plant.ledgers["D1"].writes["snmp v3 SetRequest inside"] == 1


# --- SSH ---------------------------------------------------------------------------------------

LINUX: dict[str, Any] = {
    "protocol": "ssh",
    "emulator": "ssh_linux",
    "version": "OpenSSH_9.2p1",
    "users": {"reader": "read-it"},
    "hostname": "host01",
    "passwd": ["root:x:0:0:root:/root:/bin/bash"],
    "files": {"/etc/issue.net": "Keep out\n"},
}
IOS: dict[str, Any] = {
    "protocol": "ssh",
    "emulator": "ssh_ios",
    "version": "Cisco-1.25",
    "users": {"reader": "read-it"},
    "hostname": "SW",
    "show_version": "Cisco IOS Software\n",
    "running_config": "version 15.2\nhostname SW\nend\n",
}


def netmiko(plant, device_type: str) -> Any:
    return ConnectHandler(
        host=plant.ledgers["D1"].address,
        port=plant.port("D1", "ssh"),
        username="reader",
        password="read-it",
        device_type=device_type,
        allow_agent=False,
        use_keys=False,
        ssh_config_file=None,
    )


async def test_a_linux_host_answers_paramiko_on_exec(begin) -> None:
    plant = await begin({"services": [LINUX]})

    def client() -> list[tuple[str, int]]:
        with paramiko.SSHClient() as ssh:
            ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            ssh.connect(
                plant.ledgers["D1"].address,
                plant.port("D1", "ssh"),
                username="reader",
                password="read-it",
                look_for_keys=False,
                allow_agent=False,
            )
            answers = []
            for command in ("uname -a", "cat /etc/issue.net", "cat /nope", "reboot"):
                _, out, _ = ssh.exec_command(command)
                answers.append((out.read().decode(), out.channel.recv_exit_status()))
            return answers

    uname, issue, nothing, unknown = await asyncio.to_thread(client)

    assert uname[0].startswith("Linux host01 ")
    assert issue == ("Keep out\n", 0)
    assert nothing[1] == 1
    assert unknown[1] == 127
    assert plant.ledgers["D1"].unexpected_commands == {"reboot": 1}


async def test_a_linux_host_answers_netmiko_in_a_shell(begin) -> None:
    plant = await begin({"services": [LINUX]})

    def client() -> str:
        with netmiko(plant, "linux") as connection:
            return str(connection.send_command("getent passwd"))

    assert await asyncio.to_thread(client) == "root:x:0:0:root:/root:/bin/bash"
    assert not plant.ledgers["D1"].unexpected_commands


async def test_a_switch_answers_netmiko_and_takes_a_change_for_a_write(begin) -> None:
    plant = await begin({"services": [IOS]})

    def client() -> tuple[str, str]:
        with netmiko(plant, "cisco_ios") as connection:
            return (
                str(connection.send_command("show running-config")),
                str(connection.send_command("configure terminal")),
            )

    running, refused = await asyncio.to_thread(client)

    assert running.splitlines() == ["version 15.2", "hostname SW", "end"]
    assert "Invalid input" in refused
    assert plant.ledgers["D1"].writes == {"ssh shell configure terminal": 1}


async def test_a_subsystem_is_no_shell_and_is_named(begin) -> None:
    plant = await begin({"services": [LINUX]})

    async with asyncssh.connect(
        plant.ledgers["D1"].address, plant.port("D1", "ssh"), username="reader",
        password="read-it", known_hosts=None, config=None, agent_path=None, client_keys=None,
    ) as connection:  # fmt: skip
        process = await connection.create_process(subsystem="netconf")
        await asyncio.wait_for(process.wait(), 5)

    assert plant.ledgers["D1"].functions == {"ssh subsystem netconf": 1}
    assert plant.ledgers["D1"].unexpected_commands == {"subsystem netconf": 1}


async def test_cloned_hosts_show_one_host_key(begin) -> None:
    same = {"host_key": "cloned", "host_key_algorithms": ["ecdsa-sha2-nistp256"]}
    plant = await begin({"services": [{**LINUX, **same}]}, {"services": [{**LINUX, **same}]})

    keys = [
        await asyncssh.get_server_host_key(
            plant.ledgers[name].address, plant.port(name, "ssh"), config=None
        )
        for name in ("D1", "D2")
    ]

    fingerprints = {key.get_fingerprint() for key in keys if key is not None}
    assert fingerprints == {plant.host_keys["D1"]} == {plant.host_keys["D2"]}


async def test_an_account_is_locked_after_its_last_failure(begin) -> None:
    plant = await begin({"services": [{**LINUX, "lockout_after": 2}]})

    for password in ("wrong", "wrong", "read-it"):
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                plant.ledgers["D1"].address, plant.port("D1", "ssh"), username="reader",
                password=password, known_hosts=None, config=None, client_keys=None,
                agent_path=None, preferred_auth="password",
            )  # fmt: skip

    assert plant.ledgers["D1"].lockouts == 1


async def test_an_old_switch_agrees_on_keys_the_old_way(begin) -> None:
    old = {
        "kex": ["diffie-hellman-group14-sha1"],
        "encryption": ["3des-cbc"],
        "mac": ["hmac-sha1"],
        "host_key_algorithms": ["ssh-rsa"],
    }
    plant = await begin({"services": [{**IOS, **old}]})

    async with asyncssh.connect(
        plant.ledgers["D1"].address, plant.port("D1", "ssh"), username="reader",
        password="read-it", known_hosts=None, config=None, client_keys=None, agent_path=None,
        kex_algs=old["kex"], encryption_algs=old["encryption"], server_host_key_algs=["ssh-rsa"],
    ) as connection:  # fmt: skip
        answer = await connection.run("show version")

    assert answer.stdout == "Cisco IOS Software\n"


async def test_file_transfer_is_refused_and_forwarding_is_noted_too(begin) -> None:
    plant = await begin({"services": [LINUX]})

    async with asyncssh.connect(
        plant.ledgers["D1"].address, plant.port("D1", "ssh"), username="reader",
        password="read-it", known_hosts=None, config=None, client_keys=None, agent_path=None,
    ) as connection:  # fmt: skip
        with pytest.raises(asyncssh.Error):
            await connection.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 9)

    assert plant.ledgers["D1"].unexpected_commands == {"forward to 127.0.0.1:9": 1}


# --- Telnet ------------------------------------------------------------------------------------


async def telnet(plant, *lines: str) -> str:
    """What a Telnet client has seen after typing these lines, each when a prompt came."""
    reader, writer = await telnetlib3.open_connection(
        plant.ledgers["D1"].address,
        plant.port("D1", "telnet"),
        encoding="latin-1",
        connect_minwait=0.05,
        connect_maxwait=0.3,
    )
    seen = ""
    for line in (*lines, None):
        while not seen.endswith((": ", "> ")):
            seen += await asyncio.wait_for(reader.read(1000), 3)
        if line is not None:
            writer.write(line + "\r\n")
            seen += " "
    writer.close()
    return seen


async def test_telnet_asks_for_a_login_and_takes_the_right_one(begin) -> None:
    plant = await begin(
        {"services": [{"protocol": "telnet", "banner": "Card\n", "users": {"apc": "apc"}}]}
    )

    good = await telnet(plant, "apc", "apc")
    bad = await telnet(plant, "apc", "other")

    assert good.startswith("Card\r\nlogin: ")
    assert good.endswith("> ")
    assert "Login incorrect" in bad
    assert plant.ledgers["D1"].logins == {
        "telnet apc accepted": 1,
        "telnet apc rejected": 1,
    }


async def test_telnet_without_login_shows_its_prompt(begin) -> None:
    plant = await begin({"services": [{"protocol": "telnet", "login": False}]})

    assert await telnet(plant) == "> "


async def test_telnet_greets_a_client_that_answers_no_option(begin, dial) -> None:
    await begin({"services": [{"protocol": "telnet", "banner": "Card\n"}]})

    def client() -> bytes:
        sock = dial(1, 23)
        seen = b""
        while not seen.endswith(b"login: "):
            seen += sock.recv(100)
        sock.close()
        return seen

    assert b"Card\r\nlogin: " in await asyncio.to_thread(client)


# --- HTTP --------------------------------------------------------------------------------------


def lenient() -> ssl.SSLContext:
    """A context that old panels can talk to."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


async def get(plant, protocol: str = "http", path: str = "/", **options: Any) -> httpx.Response:
    url = f"{protocol}://{plant.ledgers['D1'].address}:{plant.port('D1', protocol)}{path}"
    async with httpx.AsyncClient(verify=lenient(), trust_env=False, timeout=3) as client:
        return await client.request(options.pop("method", "GET"), url, **options)


async def test_a_panel_without_login_serves_its_controls_and_flags_their_use(begin) -> None:
    plant = await begin({"services": [{"protocol": "http", "title": "P & Q", "controls": True}]})

    page = await get(plant)
    used = await get(plant, path="/command", method="POST", data={"pump": "stop"})

    assert page.status_code == 200
    assert "<title>P &amp; Q</title>" in page.text
    assert 'method="post"' in page.text
    assert used.status_code == 405
    assert plant.ledgers["D1"].writes == {"http POST /command": 1}


async def test_basic_authentication(begin) -> None:
    plant = await begin(
        {"services": [{"protocol": "http", "login": "basic", "users": {"admin": "admin"}}]}
    )

    assert (await get(plant)).status_code == 401
    assert (await get(plant, auth=("admin", "wrong"))).status_code == 401
    assert (await get(plant, auth=("admin", "admin"))).status_code == 200


async def test_a_panel_that_accepts_anybody(begin) -> None:
    plant = await begin({"services": [{"protocol": "http", "login": "basic", "accept_any": True}]})

    assert (await get(plant)).status_code == 401
    assert (await get(plant, auth=("nobody", "nothing"))).status_code == 200


async def test_form_login_is_no_write_and_leads_to_the_page_behind(begin) -> None:
    plant = await begin(
        {"services": [{"protocol": "http", "login": "form", "users": {"a": "b"}, "body": "Inside"}]}
    )
    good = {"username": "a", "password": "b"}

    page = await get(plant)
    wrong = await get(plant, path="/login", method="POST", data={**good, "password": "x"})
    right = await get(plant, path="/login", method="POST", data=good)
    inside = await get(plant, path="/home", headers={"Cookie": right.headers["set-cookie"]})

    assert 'type="password"' in page.text
    assert (wrong.status_code, right.status_code) == (401, 302)
    assert "Inside" in inside.text
    assert not plant.ledgers["D1"].writes


@pytest.mark.parametrize("kind", ["good", "expired", "small_key", "old_versions"])
async def test_https_panels_of_every_kind_answer(begin, kind: str) -> None:
    plant = await begin({"services": [{"protocol": "https", "tls": kind, "title": "Panel"}]})

    assert "Panel" in (await get(plant, "https")).text
    assert plant.ledgers["D1"].foreign == {}


async def test_only_old_panels_accept_tls_1_0(begin) -> None:
    plant = await begin(
        {"services": [{"protocol": "https", "tls": "old_versions"}]},
        {"services": [{"protocol": "https", "tls": "good"}]},
    )
    context = lenient()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion.TLSv1

    async def versions(name: str) -> str:
        try:
            _, writer = await asyncio.open_connection(
                plant.ledgers[name].address, plant.port(name, "https"), ssl=context
            )
        except ssl.SSLError:
            return "refused"
        version = str(writer.get_extra_info("ssl_object").version())
        writer.close()
        return version

    assert [await versions("D1"), await versions("D2")] == ["TLSv1", "refused"]


async def test_ssh_offers_exactly_the_algorithms_of_the_plant(begin, dial) -> None:
    offer = {
        "kex": ["diffie-hellman-group14-sha1"],
        "encryption": ["aes128-cbc", "3des-cbc"],
        "mac": ["hmac-md5"],
        "host_key_algorithms": ["ssh-rsa"],
    }
    await begin({"services": [{**LINUX, **offer}]})

    def client() -> bytes:
        sock = dial(1, 22)
        sock.sendall(b"SSH-2.0-test\r\n")
        seen = b""
        while seen.count(b"hmac-md5") < 2:
            seen += sock.recv(4096)
        sock.close()
        return seen

    seen = await asyncio.to_thread(client)

    assert seen.startswith(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    assert seen.count(b"aes128-cbc,3des-cbc") == 2
    assert b"\0\0\0\x07ssh-rsa" in seen
    assert b"curve25519" not in seen
