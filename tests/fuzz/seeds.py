"""
What is damaged: conversations of every probe with recorded or emulated devices, and samples for
decoders that no conversation reaches. A new probe needs an entry in DIALOGUES, else the fuzzer
fails by its name.

Recordings come from WALKDOWN_CAPTURES; where they have no device of a protocol or tier, the bytes
are those of the plant that ships (lab/plants) or made here.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import probes.enip
import probes.http
import probes.modbus
import probes.s7
import probes.snmp
import probes.snmptables
import probes.ssh
import probes.sshconfig
import probes.telnet
import scanner.clients.certificate
import scanner.clients.cip
import scanner.clients.http
import scanner.clients.modbus
import scanner.clients.s7
import scanner.clients.snmp
import scanner.clients.ssh
import scanner.importers.ios
import scanner.importers.linux
from scanner.clients.cli import Opened, Said
from scanner.clients.ssh import AuthAnswer, CommandResult, ServerKey
from scanner.errors import Silent, WalkdownError
from scanner.facts import DeviceIdentity, ModbusAccess, S7Access, SnmpAccess, TlsFace
from scanner.spec import DefaultCredential, Login, Secret
from tests.fuzz.session import Answer, Dialogue, FuzzSession, drive

ROOT = Path(__file__).resolve().parents[2]
HOST_KEY = "SHA256:" + "A" * 43


def script(*replies: bytes) -> Callable[[], Answer]:
    """A peer that says these things in their order, whatever it is asked, then nothing."""

    def make() -> Answer:
        left = iter(replies)

        def answer(request: bytes | None) -> bytes:
            try:
                return next(left)
            except StopIteration:
                raise Silent("nothing more") from None

        return answer

    return make


def remembered(answer: Answer) -> Callable[[], Answer]:
    """The same answer to the same question, worked out once; silence is remembered too."""
    known: dict[bytes | None, bytes | None] = {}

    def again(request: bytes | None) -> bytes:
        if request not in known:
            try:
                known[request] = answer(request)
            except Silent:
                known[request] = None
        reply = known[request]
        if reply is None:
            raise Silent("not answered")
        return reply

    return lambda: again


def captured(captures: Path, pattern: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text()) for file in sorted(captures.glob(pattern))]
    if not found:
        raise SystemExit(f"no recording {pattern} in {captures}: set WALKDOWN_CAPTURES")
    return found


@cache
def banners(captures: Path, kind: str) -> tuple[str, ...]:
    items = json.loads((captures / "banners.json").read_text())["items"]
    return tuple(item["banner"] for item in items if item["kind"] == kind)


def credential(protocol: str, **options: str) -> tuple[DefaultCredential, ...]:
    return (
        DefaultCredential(
            id="x", vendor="V", product="P", protocol=protocol, user="admin",
            secret=Secret("private"), options=options,
        ),
    )  # fmt: skip


# --- Modbus --------------------------------------------------------------------------------------


def _modbus_frame(request: bytes, pdu: bytes) -> bytes:
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


def _modbus_device(table: Mapping[bytes, bytes]) -> Callable[[], Answer]:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        pdu = table.get(request[7:]) or table.get(request[7:8])
        if pdu is None:
            raise Silent("not known")
        return _modbus_frame(request, pdu)

    return lambda: answer


def _objects(*objects: tuple[int, bytes], more: int = 0, following: int = 0) -> bytes:
    body = b"".join(bytes([number, len(value)]) + value for number, value in objects)
    return bytes([0x2B, 0x0E, 1, 0x81, more, following, len(objects)]) + body


def modbus(captures: Path) -> Iterator[Dialogue]:
    probe = probes.modbus.PROBE
    for record in captured(captures, "modbus__*.json"):
        known = {
            bytes.fromhex(e["request_hex"])[6:]: bytes.fromhex(e["response_hex"])
            for e in record["exchanges"]
        }

        def answer(request: bytes | None, known: dict[bytes, bytes] = known) -> bytes:
            assert request is not None
            if (reply := known.get(request[6:])) is None:
                raise Silent("not in the recording")
            return request[:2] + reply[2:]

        yield Dialogue(name=record["id"], probe=probe, answer=lambda answer=answer: answer)  # type: ignore[misc]
    ask, name = b"\x2b\x0e\x01", b"Schneider Electric"
    tables: dict[str, dict[bytes, bytes]] = {
        "three rounds": {
            ask + b"\0": _objects((0, name), more=0xFF, following=1),
            ask + b"\1": _objects((1, b"BMX P34 2020"), more=0xFF, following=2),
            ask + b"\2": _objects((2, b"v2.9")),
        },
        "server id": {b"\x2b": b"\xab\x01", b"\x11": b"\x11\x0b\x2a\xffTSX Prem2"},
        "server id at the end": {b"\x2b": _objects(), b"\x11": b"\x11\x0aIO scanner\xff"},
        "busy": {b"\x2b": b"\xab\x06"},
        "gateway": {b"\x2b": b"\xab\x0b"},
    }
    for title, table in tables.items():
        yield Dialogue(name=title, probe=probe, answer=_modbus_device(table))
    for access in ((), (ModbusAccess(unit_id=1, identification="objects"),)):
        yield Dialogue(
            name="read",
            probe=probes.modbus.READ_PROBE,
            answer=script(),
            known=access,
            values={"objects": {0: name, 4: b"Modicon", 5: b"M340", 6: b"Pump 1"}, "refused": 0},
        )


async def _modbus_library(host: str, port: int, **_: Any) -> scanner.clients.modbus.DeviceObjects:
    objects = FuzzSession.current.told("objects")
    return scanner.clients.modbus.DeviceObjects(
        objects=objects, exception_code=None if objects else FuzzSession.current.told("refused")
    )


# --- S7 ------------------------------------------------------------------------------------------


def s7(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_s7

    probe = probes.s7.PROBE
    for record in captured(captures, "s7comm__*.json"):

        def make(record: dict[str, Any] = record) -> Answer:
            return test_s7.recorded(record)  # type: ignore[no-any-return]

        yield Dialogue(name=record["id"], probe=probe, answer=make)
    order = b"\x00\x01" + b"6ES7 315-2EH14-0AB0 " + b"\x00\xc0\x00\x05\x00\x01"
    firmware = b"\x00\x07" + b" " * 20 + b"\x00\xc0V\x03\x02\x08"
    names = [n.to_bytes(2, "big") + b"Line %d" % n for n in (1, 2, 3, 4, 5, 7, 8, 11)]
    lists = {
        0x11: test_s7.szl_list(0x11, 28, order, firmware),
        0x1C: test_s7.szl_list(0x1C, 34, *names, b"\x00\x09\x00\x2a\x00\x01"),
    }

    def made(lists: dict[int, bytes], refuse: tuple[int, ...] = ()) -> Callable[[], Answer]:
        cpu = test_s7.cpu(lists, refuse=refuse)

        def answer(request: bytes | None) -> bytes:
            assert request is not None
            if test_s7.kind_of(request)[0] == "continue":
                return test_s7.szl_reply(request, bytes(28))  # type: ignore[no-any-return]
            return cpu(request)  # type: ignore[no-any-return]

        return lambda: answer

    yield Dialogue(name="made", probe=probe, answer=made(lists))
    yield Dialogue(name="second seat", probe=probe, answer=made(lists, (0x0301,)))
    yield Dialogue(name="no seat", probe=probe, answer=made(lists, probes.s7.TSAPS))
    yield Dialogue(name="refuses", probe=probe, answer=made({}))
    protection = b"\x00\x28\x00\x01\x00\x04\x00\x01\x00\x01\x00\x02\x00\x03" + bytes(30)
    state = b"\x00\x14\x00\x01\x51\x44\xff\x08" + bytes(16)
    for known in ((), (S7Access(tsap=0x0302),)):
        yield Dialogue(
            name="read",
            probe=probes.s7.READ_PROBE,
            answer=script(),
            known=known,
            values={"lists": {(0x0232, 4): protection, (0x0424, 0): state}},
        )


async def _s7_library(host: str, port: int, **_: Any) -> dict[tuple[int, int], bytes]:
    return FuzzSession.current.told("lists")  # type: ignore[no-any-return]


# --- EtherNet/IP ---------------------------------------------------------------------------------


def enip(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "enip__*.json"):
        for exchange in record["exchanges"]:
            if exchange["request_hex"].startswith("6300"):
                reply = bytes.fromhex(exchange["response_hex"])
                for probe in (probes.enip.PROBE, probes.enip.TCP_PROBE):
                    yield Dialogue(name=record["id"], probe=probe, answer=script(reply))
    attributes = bytes.fromhex("01000e0036001403600029b36300") + b"\x141756-L61/B LOGIX5561"
    for refused in ("", "service not supported"):
        yield Dialogue(
            name="read",
            probe=probes.enip.READ_PROBE,
            answer=script(),
            values={"attributes": attributes, "refused": refused},
        )


async def _enip_library(host: str, port: int) -> scanner.clients.cip.IdentityAnswer:
    session = FuzzSession.current
    refused = session.told("refused")
    return scanner.clients.cip.IdentityAnswer(
        session=7, attributes=session.told("attributes"), refused=refused[:200] or None
    )


# --- SNMP ----------------------------------------------------------------------------------------


def snmp(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_snmp

    probe = probes.snmp.PROBE
    v3 = [bytes.fromhex(r["exchanges"][0]["response_hex"]) for r in captured(captures, "snmpv3__*")]
    for i, record in enumerate(captured(captures, "snmp__*.json")):
        values = test_snmp.recorded_values(record)
        agent = test_snmp.Agent(
            values, versions=(0, 1) if i % 3 else (0,), discovery=v3[i % len(v3)]
        )
        yield Dialogue(name=record["id"], probe=probe, answer=remembered(agent))
    for i, descr in enumerate(banners(captures, "snmp_sysdescr")[::6]):
        agent = test_snmp.Agent({probes.snmp.SYS_DESCR: test_snmp.text(descr)})
        yield Dialogue(name=f"banner {i}", probe=probe, answer=remembered(agent))
    for report in v3:
        agent = test_snmp.Agent({}, versions=(), discovery=report)
        yield Dialogue(name="version 3", probe=probe, answer=remembered(agent))
    made = {
        probes.snmp.SYS_DESCR: test_snmp.text("x"),
        probes.snmp.SYS_OBJECT_ID: test_snmp.oid("1.3"),
    }
    accepting = test_snmp.Agent(made, communities=("private",))
    anything = test_snmp.Agent(made, communities=("private", probes.snmp.NO_SUCH_COMMUNITY))
    for agent in (accepting, anything):
        yield Dialogue(
            name="login",
            probe=probes.snmp.LOGIN_PROBE,
            answer=remembered(agent),
            default_credentials=credential("snmp"),
        )
    access = SnmpAccess(versions=("1", "2c"), community="public")
    for file in sorted((captures / "snmprec").glob("*.snmprec")):
        yield Dialogue(
            name=f"read {file.stem}",
            probe=probes.snmp.READ_PROBE,
            answer=script(),
            known=(access, DeviceIdentity(firmware="V04.02")),
            values={"walk": _walk(file)},
        )


def _walk(file: Path) -> dict[str, Any]:
    """What the read tier would find in a recorded walk, as the library hands it over."""
    found: dict[str, Any] = {}
    entries = (*(t.entry for t in probes.snmptables.TABLES), probes.snmptables.LLDP_LOCAL)
    for line in file.read_text("utf-8", "replace").splitlines():
        name, _, rest = line.partition("|")
        kind, _, value = rest.partition("|")
        if len(found) >= 400 or not name.startswith(entries):
            continue
        if kind == "6":
            found[name] = value
        elif kind == "4x":
            found[name] = bytes.fromhex(value)
        elif kind in ("4", "64"):
            found[name] = value.encode()
        elif value.lstrip("-").isdecimal():
            found[name] = int(value)
    found.setdefault(f"{probes.snmptables.ENT_PHYSICAL}.5.1", 3)
    found.setdefault(f"{probes.snmptables.IF_TABLE}.8.1", 1)
    remote = probes.snmptables.LLDP_REMOTE
    found.setdefault(f"{remote}.5.0.1.1", b"\x00\x1b\x1b\x01\x02\x03")
    found.setdefault(f"{remote}.4.0.1.1", 4)
    found.setdefault(f"{remote}.9.0.1.1", b"SW-2")
    found.setdefault(f"{probes.snmptables.LLDP_REMOTE_ADDRESS}.3.0.1.1.1.4.192.0.2.7", 1)
    tables = probes.snmptables
    for name, value in (
        (f"{tables.LLDP_REMOTE}.12.0.1.1", b"\x28"),
        (f"{tables.LLDP_LOCAL}.1.0", 4),
        (f"{tables.LLDP_LOCAL}.2.0", b"\x00\x1b\x1b\x01\x02\x04"),
        (tables.BRIDGE_ADDRESS, b"\x00\x1b\x1b\x01\x02\x05"),
        (f"{tables.CDP_CACHE}.3.1.1", 1),
        (f"{tables.CDP_CACHE}.4.1.1", b"\xc0\x00\x02\x07"),
        (f"{tables.CDP_CACHE}.6.1.1", b"SW-3"),
        (f"{tables.CDP_CACHE}.9.1.1", b"\x00\x00\x00\x29"),
        (f"{tables.OWN_ADDRESS}.2.192.0.2.8", 1),
        (f"{tables.OWN_ADDRESS}.3.192.0.2.8", b"\xff\xff\xff\x00"),
        (f"{tables.ARP}.2.1.192.0.2.9", b"\x00\x1b\x1b\x01\x02\x06"),
        (f"{tables.IP_NEIGHBOUR}.4.1.1.4.192.0.2.9", b"\x00\x1b\x1b\x01\x02\x06"),
        (f"{tables.BASE_PORT}.2.1", 1),
        (f"{tables.VLAN_FORWARDING}.2.7.0.27.27.1.2.6", 1),
        (f"{tables.VLAN_CURRENT}.3.0.10", 7),
        (f"{tables.FORWARDING}.2.0.27.27.1.2.7", 1),
        (f"{tables.VLAN_STATIC}.1.10", b"process"),
        (f"{tables.ENT_PHYSICAL}.5.2", 9),
        (f"{tables.ENT_PHYSICAL}.13.2", b"SFP992-1LD"),
    ):
        found.setdefault(name, value)
    return found


class _SnmpLibrary:
    """scanner.clients.snmp.reader over one damaged walk."""

    cut: frozenset[str] = frozenset()

    async def __aenter__(self) -> _SnmpLibrary:
        self.values: dict[str, Any] = FuzzSession.current.told("walk")
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def get(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.values[name] for name in names if name in self.values}

    async def walk(self, column: str, max_rows: int) -> dict[str, Any]:
        found = [(n, v) for n, v in self.values.items() if n.startswith(column + ".")]
        return dict(found[:max_rows])


# --- HTTP and certificates -----------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
LOGIN_PAGE = (
    b"<html><head><title>Login</title><script src=x.js></script></head><body>"
    b"<form method=post action=/login><input name=u><input type='password' name=p></form>"
    b"</body></html>"
)
OPEN_PAGE = (
    b"<html><head><title>Pump station 7</title></head><body>" + b"Level 3.2 m. " * 30 +
    b"<form method=post action=/set><input name=sp><input type=submit></form></body></html>"
)  # fmt: skip


def _page(body: bytes, server: bytes = b"GoAhead-Webs") -> bytes:
    return OK % (server, len(body), body)


def http(captures: Path) -> Iterator[Dialogue]:
    record = captured(captures, "http__*.json")[0]
    replies = [bytes.fromhex(e["response_hex"]) for e in record["exchanges"]]
    pages = {bytes(r[:6000]) for r in replies}
    pages |= {_page(LOGIN_PAGE), _page(OPEN_PAGE)}
    for title in banners(captures, "html_title"):
        pages.add(_page(b"<html><head><title>%s</title></head></html>" % title.encode()))
    for server in banners(captures, "http_servers"):
        pages.add(_page(b"", server.encode()))
    for asked in banners(captures, "http_wwwauth"):
        head = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %s\r\nContent-Length: 0\r\n\r\n"
        pages.add(head % asked.encode())
    pages.add(b"HTTP/1.1 302 Found\r\nLocation: https://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")
    pages.add(b"HTTP/1.0 200 OK\r\n\r\n<frameset><frame src=a></frameset></html>")
    pages.add(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(OPEN_PAGE), OPEN_PAGE)
    )
    packed = gzip.compress(LOGIN_PAGE, mtime=0)
    pages.add(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
        % (len(packed), packed)
    )
    ders = certificates()
    for i, page in enumerate(sorted(pages)):
        yield Dialogue(name=f"page {i}", probe=probes.http.PROBE, answer=script(page))
        if i % 4 == 0:
            yield Dialogue(
                name=f"tls page {i}",
                probe=probes.http.TLS_PROBE,
                answer=script(page),
                certificate=ders[i // 4 % len(ders)],
            )
    for known in ((), (TlsFace(version="TLSv1.2"),)):
        yield Dialogue(
            name="versions",
            probe=probes.http.READ_PROBE,
            answer=script(),
            known=known,
            certificate=ders[0],
        )
    refused = (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
    )
    form = credential(
        "http", scheme="form", form_path="/login", user_field="u", password_field="p",
        success="Welcome", failure="Wrong password",
    )  # fmt: skip
    logins = (
        (credential("http", scheme="basic"), (refused, _page(OPEN_PAGE), refused)),
        (form, (_page(LOGIN_PAGE), _page(b"<html>Welcome</html>"), _page(b"<html>Wrong password"))),
        (form, (_page(LOGIN_PAGE), b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n")),
    )
    for secret, said in logins:
        for probe in (probes.http.LOGIN_PROBE, probes.http.TLS_LOGIN_PROBE):
            yield Dialogue(
                name="login",
                probe=probe,
                answer=script(*said),
                default_credentials=secret,
                certificate=ders[0],
            )


@cache
def certificates() -> tuple[bytes, ...]:
    """Self-signed, one of each kind of key (RSA, EC, Ed25519, DSA), with two names, made once."""
    return tuple(
        file.read_bytes() for file in sorted((Path(__file__).parent / "data").glob("*.der"))
    )


# --- SSH and configurations ----------------------------------------------------------------------


def ssh(captures: Path) -> Iterator[Dialogue]:
    from tests.probes.test_ssh import SAMPLE

    replies = [
        bytes.fromhex(e["response_hex"])
        for record in captured(captures, "ssh__*.json")
        for e in record["exchanges"]
        if e["response_hex"]
    ]
    software = banners(captures, "ssh_banners")
    replies += [b"SSH-2.0-" + words.encode() + b"\r\n" + SAMPLE for words in software]
    replies += [b"Keep out!\r\nSSH-2.0-dropbear_2019.78\r\n" + SAMPLE]
    for i, reply in enumerate(replies):
        yield Dialogue(name=f"server {i}", probe=probes.ssh.PROBE, answer=script(reply))
        line, end, packet = reply.partition(b"\n")
        apart = script(line + end + packet[: i % 2 * 3], packet[i % 2 * 3 :])
        yield Dialogue(name=f"apart {i}", probe=probes.ssh.PROBE, answer=apart)
    library = {"methods": ("password", "publickey"), "banner": "Keep out!\n", "key": b"\0" * 64}
    yield Dialogue(name="read", probe=probes.ssh.READ_PROBE, answer=script(), values=library)
    yield Dialogue(
        name="login",
        probe=probes.ssh.LOGIN_PROBE,
        answer=script(),
        default_credentials=credential("ssh"),
        values=library,
    )


class _SshLibrary:
    """scanner.clients.ssh.SshConnection: what it hands to probes, over damaged texts."""

    def __init__(self, sock: Any, *, judge: Any, timeout_s: float = 5.0) -> None:
        self.judge = judge

    def handshake(self) -> ServerKey:
        session = FuzzSession.current
        if "key" not in session.dialogue.values:
            return ServerKey(algorithm="ssh-ed25519", bits=256, fingerprint_sha256=HOST_KEY)
        blob = session.told("key")
        return ServerKey(
            algorithm="ssh-rsa",
            bits=2048,
            fingerprint_sha256=scanner.clients.ssh.fingerprint_sha256(blob),
        )

    def _answered(self) -> AuthAnswer:
        session = FuzzSession.current
        most = scanner.clients.ssh.TEXT_MAX
        banner = scanner.clients.ssh.printable(session.told("banner"))[:most]
        return AuthAnswer(
            accepted=len(banner) % 5 == 0,
            methods=scanner.clients.ssh.names(session.told("methods")),
            banner=banner or None,
        )

    def auth_none(self, user: str) -> AuthAnswer:
        self.judge(b"auth none")
        return self._answered()

    def auth_password(self, user: str, secret: Secret, *, operator: bool, **_: Any) -> AuthAnswer:
        self.judge(b"auth operator" if operator else b"auth password")
        return AuthAnswer(accepted=True) if operator else self._answered()

    def run(self, platform: str, command: str) -> CommandResult:
        self.judge(f"exec {platform} {command}".encode())
        outputs: Mapping[str, str] = FuzzSession.current.dialogue.values["outputs"]
        text = _outputs().get(command) if command in outputs else None
        if text is None:
            absent = f"cat: {command}: No such file or directory"
            return CommandResult(
                command=command, stdout="", stderr=absent, exit_status=1, whole=True
            )
        return CommandResult(command=command, stdout=text, stderr="", exit_status=0, whole=True)

    def close(self) -> None:
        return None


def _outputs() -> dict[str, str]:
    """What the commands of the current session print, damaged once."""
    session = FuzzSession.current
    if session.outputs is None:
        session.outputs = session.told("outputs")
    return session.outputs


class _CliLibrary:
    """scanner.clients.cli.CliConnection over damaged outputs."""

    def __init__(self, sock: Any, login: Login, *, judge: Any) -> None:
        self.said: list[Said] = []
        self.platform = login.platform
        self.judge = judge
        self.trusted = True

    def open(self) -> Opened:
        return Opened(key=ServerKey(algorithm="ssh-rsa", bits=2048, fingerprint_sha256=HOST_KEY))

    def run(self, command: str) -> str:
        self.judge(f"exec {self.platform} {command}".encode())
        text = _outputs().get(command, "")
        self.said.append(Said(typed=command, heard=text))
        return text

    def close(self) -> None:
        return None


@cache
def plant() -> dict[str, Any]:
    text = (ROOT / "lab" / "plants" / "harbour.yaml").read_text("utf-8")
    return YAML(typ="safe", pure=True).load(text)  # type: ignore[no-any-return]


def ios_outputs() -> dict[str, str]:
    from tests.importers.test_ios import CONFIG

    switch = next(d for d in plant()["devices"] if "running_config" in str(d))
    settings = _settings_with(switch, "running_config")
    return {
        "show version": settings["show_version"],
        "show running-config": CONFIG + settings["running_config"],
        "show users": settings.get("users_output") or "*  1 vty 0 audit idle 00:00:00 192.0.2.7\n",
        "show ntp status": settings.get("ntp_status") or "%NTP is not enabled.\n",
    }


def _settings_with(where: Any, key: str) -> dict[str, Any]:
    """The mapping inside `where` that has `key`."""
    if isinstance(where, dict):
        if key in where:
            return where
        where = list(where.values())
    for one in where if isinstance(where, list) else ():
        if isinstance(one, dict | list) and (found := _settings_with(one, key)):
            return found
    return {}


LINUX_OUTPUTS = {
    "uname -a": "Linux jump01 6.1.0-21-amd64 #1 SMP x86_64 GNU/Linux\n",
    "cat /etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n',
    "getent passwd": "root:x:0:0:root:/root:/bin/bash\naudit:$6$abcd$efgh:998:27::/h/a:/bin/sh\n"
    "old:abcdefghijklm:1000:1000::/home/o:/usr/sbin/nologin\nnone::1001:1001::/h:/bin/sh\n",
    "getent group": "root:x:0:\nsudo:x:27:audit,shift\nusers:x:100:a,b,c\n",
    "who": "audit    pts/0        2026-11-20 21:14 (192.0.2.12)\nroot tty1 2026-11-20 10:00\n",
    "cat /etc/ssh/sshd_config": "Port 22\nBanner /etc/issue.net\nUsePAM yes\n"
    "AuthenticationMethods publickey,password\nInclude /etc/ssh/sshd_config.d/*.conf\n"
    "Match User a\n PasswordAuthentication no\n",
    "cat /etc/pam.d/sshd": "auth required pam_google_authenticator.so nullok\n@include auth\n"
    "auth [success=1 default=ignore] pam_unix.so\nauth sufficient pam_radius_auth.so\n",
    "cat /etc/login.defs": "ENCRYPT_METHOD YESCRYPT\n",
    "cat /etc/issue.net": "Keep out\n",
    "cat /etc/systemd/timesyncd.conf": "[Time]\nNTP=192.0.2.1 192.0.2.2\n#FallbackNTP=x\n",
    "cat /etc/chrony/chrony.conf": "pool 2.debian.pool iburst\nserver 192.0.2.1\nconfdir /c\n",
    "cat /etc/rsyslog.conf": "*.* @@192.0.2.13\nauth.* @(z9)[2001:db8::1]:514\n"
    'action(type="omfwd" target="192.0.2.14" port="514")\n*.* :ommysql:h,db,user,secretpw\n'
    "RELAY_PASSWORD=clear-text-word\n$IncludeConfig /etc/rsyslog.d/*.conf\n",
    "cat /etc/profile": "export TMOUT=600\nreadonly TMOUT\n",
    "timedatectl show": "Timezone=UTC\nNTPSynchronized=yes\n",
    "ss -ltnuH": "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nudp UNCONN 0 0 [::]:123 [::]:*\n"
    "tcp LISTEN 0 128 127.0.0.1:25 0.0.0.0:*\ntcp LISTEN 0 128 [::1%lo]:80 x\n",
    "cat .ssh/authorized_keys": "ssh-ed25519 "
    + base64.b64encode(b"\0" * 51).decode()
    + " a@b\n# x\nssh-rsa AAAA= bad\n",
}


def sshconfig(captures: Path) -> Iterator[Dialogue]:
    for platform, outputs in (
        ("linux", LINUX_OUTPUTS), ("cisco_ios", ios_outputs()), ("cisco_xe", ios_outputs()),
        ("hirschmann_hios", {}),
    ):  # fmt: skip
        login = Login(platform=platform, user="audit", secret=Secret("pw-77"), host_key=HOST_KEY)
        yield Dialogue(
            name=platform,
            probe=probes.sshconfig.PROBE,
            answer=script(),
            login=login,
            values={"outputs": outputs},
        )


# --- Telnet --------------------------------------------------------------------------------------


def telnet(captures: Path) -> Iterator[Dialogue]:
    recorded = [
        bytes.fromhex(e["response_hex"])
        for record in captured(captures, "telnet__*.json")
        for e in record["exchanges"]
    ]
    offer = b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01"
    yield Dialogue(name="recorded", probe=probes.telnet.PROBE, answer=script(*recorded))
    for i, text in enumerate(banners(captures, "telnet_banners")):
        said = script(offer, text.encode() + b"\r\n", b"login: ")
        yield Dialogue(name=f"banner {i}", probe=probes.telnet.PROBE, answer=said)
    for prompt in (b"login: ", b"Password: ", b"switch#", b"Press any key"):
        said = script(offer + b"User Access Verification\r\n\r\n" + prompt, prompt)
        yield Dialogue(name="prompt", probe=probes.telnet.PROBE, answer=said)
    sessions = (
        (offer + b"login: ", b"login: ", b"Password: ", b"\r\nswitch# ", b"login: ", b"Password: ",
         b"Login incorrect\r\nlogin: "),
        (b"Username: ", b"Password: ", b"% Account locked, too many attempts\r\n"),
        (b"Password: ", b"> "),
        (b"switch> ",),
    )  # fmt: skip
    for answers in sessions:
        yield Dialogue(
            name="login",
            probe=probes.telnet.LOGIN_PROBE,
            answer=script(*answers),
            default_credentials=credential("telnet"),
        )


# --- all of them ---------------------------------------------------------------------------------

GET = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)
"""A question of ours, for what tells whether a reply answers it."""

DIALOGUES: dict[str, Callable[[Path], Iterator[Dialogue]]] = {
    "enip": enip, "http": http, "modbus": modbus, "s7": s7, "snmp": snmp, "ssh": ssh,
    "sshconfig": sshconfig, "telnet": telnet,
}  # fmt: skip
"""By probe module."""


def hide(secret: str) -> str:
    return "0" * 32


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """(family, call) of decoders that stand alone: what they call in turn is seen as well."""
    for der in certificates():
        yield "certificate", lambda der=der: scanner.clients.certificate.describe(der)  # type: ignore[misc]
    for name in DIALOGUES:
        # By its module, so that the call is seen; one that reads no reply has nothing to say here.
        guard = sys.modules.get(f"scanner.guards.{name}")
        for reads, more in (("reply_framer", ()), ("in_key_exchange", ()), ("is_answer", (GET,))):
            if guard is None or not hasattr(guard, reads):
                continue
            read = getattr(guard, reads)
            for dialogue in DIALOGUES[name](captures):
                for reply in recorded_replies(dialogue):
                    yield name, lambda f=read, r=reply, m=more: f(r, *m)  # type: ignore[misc]
    ios = scanner.importers.ios
    for text in ios_outputs().values():
        for call in (
            lambda t: ios.mask(t, hide), ios.normalise, ios.read_users, ios.read_version,
            ios.read_ntp_status, lambda t: ios.read_configuration(t, hide, platform="cisco_ios"),
        ):  # fmt: skip
            yield "ios", lambda c=call, t=text: c(t)  # type: ignore[misc]
    yield "ios", lambda: ios.decode_type7("02050D480809")
    linux = scanner.importers.linux
    for text in LINUX_OUTPUTS.values():
        yield "linux", lambda t=text: linux.mask(t, hide)  # type: ignore[misc]
    yield "linux", lambda: linux.read_host(LINUX_OUTPUTS, user="audit", hide=hide)
    for coding in ("gzip", "deflate"):
        packed = gzip.compress(OPEN_PAGE, mtime=0) if coding == "gzip" else zlib.compress(OPEN_PAGE)
        yield "http", lambda p=packed, c=coding: scanner.clients.http.decode_body(p, c)  # type: ignore[misc]
    yield "http", lambda: scanner.clients.http.decode_reply(_page(OPEN_PAGE), "GET")


def recorded_replies(dialogue: Dialogue) -> list[bytes]:
    """What the peer of a dialogue says when nothing is damaged."""
    session = FuzzSession(dialogue, None)
    with suppress(WalkdownError):  # some recorded devices answer nothing that identifies them
        drive(dialogue.probe.run(session))  # type: ignore[arg-type]
    return session.replies


LIBRARIES: tuple[tuple[Any, str, Any], ...] = (
    (scanner.clients.modbus, "read_device_identification", _modbus_library),
    (scanner.clients.s7, "read_lists", _s7_library),
    (scanner.clients.cip, "read_identity_object", _enip_library),
    (scanner.clients.snmp, "reader", lambda *_: _SnmpLibrary()),
    (probes.ssh, "SshConnection", _SshLibrary),
    (probes.sshconfig, "SshConnection", _SshLibrary),
    (probes.sshconfig, "CliConnection", _CliLibrary),
)


@contextmanager
def made_up_libraries() -> Iterator[None]:
    """Within the block vendor libraries hand over what the current session's dialogue says."""
    before = [(place, name, getattr(place, name)) for place, name, _ in LIBRARIES]
    for place, name, made_up in LIBRARIES:
        setattr(place, name, made_up)
    try:
        yield
    finally:
        for place, name, real in before:
            setattr(place, name, real)
