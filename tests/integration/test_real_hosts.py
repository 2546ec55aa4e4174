"""
What stands on every other host: SSH by OpenSSH and Dropbear, web pages and TLS by nginx.

Each stands twice where it can: as its makers ship it, and as old plants have it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from probes import telnet
from scanner.errors import BadReply
from tests.conftest import unprivileged
from tests.integration.real import Seen, Server, folder_of_servers, hall, program

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SERVERS: Mapping[str, str | tuple[str, ...]] = {
    "ssh": ("openssh-server (Debian)", "dropbear-bin (Debian)"),
    "http": "nginx (Debian)",
}

PORTS = {"ssh": 20022, "http": 20080, "https": 20443}

OLD_SSH = (
    "KexAlgorithms=diffie-hellman-group1-sha1,diffie-hellman-group14-sha1",
    "HostKeyAlgorithms=ssh-rsa", "Ciphers=3des-cbc,aes128-cbc", "MACs=hmac-md5,hmac-sha1",
    "PasswordAuthentication=no", "KbdInteractiveAuthentication=no",
)  # fmt: skip
"""OpenSSH 9.2 still has them; they have to be asked for."""

NGINX = """
daemon off; master_process off; error_log stderr info; pid {folder}/{name}.pid;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/{name}.access;
    client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
    fastcgi_temp_path {folder}/{name}-fastcgi; uwsgi_temp_path {folder}/{name}-uwsgi;
    scgi_temp_path {folder}/{name}-scgi;
    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
    {servers}
}}
"""
OLD_WEB = """
    server {{
        listen {at}:20080; listen {at}:20443 ssl;
        ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;
        default_type text/html;
        location = / {{ return 200 "<title>Pump station</title><form method=post action=/login>
            <input name=user><input type=password name=password></form>"; }}
    }}
"""
NEW_WEB = """
    server_tokens off;
    server {{ listen {at}:20080; return 301 https://{at}:20443/; }}
    server {{
        listen {at}:20443 ssl; ssl_protocols TLSv1.2 TLSv1.3;
        root {folder}; auth_basic "Sluice"; auth_basic_user_file {folder}/users;
    }}
"""


def made_certificate(folder: Path, address: str) -> None:
    """Key and self-signed certificate for a year, RSA of 2,048 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(365))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    (folder / "certificate.pem").write_bytes(made)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def host_key(path: Path, user: int | None, *words: str) -> Path:
    """Made by the words and `-f path`; it belongs to the user who serves with it."""
    subprocess.run([*words, "-f", str(path)], check=True, capture_output=True)
    if user is not None:
        os.chown(path, user, -1)
    return path


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with folder_of_servers() as path:
        yield path


@pytest.fixture(scope="module")
def seen(
    walkdown: Callable[..., Any], octets: Callable[[], int], folder: Path
) -> Iterator[Callable[[str], Seen]]:
    net = f"127.{octets()}.43"
    # sshd as root wants /run/sshd, which its service would make
    user = unprivileged()[1] if os.geteuid() == 0 else None

    def _sshd(last: int, key: Path, *settings: str) -> Server:
        words: list[object] = [program("sshd", "openssh-server"), "-D", "-e", "-f", "/dev/null"]
        at, port = f"{net}.{last}", PORTS["ssh"]
        mine = (
            f"ListenAddress={at}:{port}", f"HostKey={key}", "PidFile=none", "UsePAM=no",
            "LogLevel=VERBOSE",
        )  # fmt: skip
        for setting in (*mine, *settings):
            words += ["-o", setting]
        return Server(words=words, address=at, port=port, user=user)

    def _dropbear(last: int, key: Path) -> Server:
        at, port = f"{net}.{last}", PORTS["ssh"]
        words = (
            program("dropbear", "dropbear-bin"), "-F", "-E", "-p", f"{at}:{port}", "-r", key,
            "-P", folder / "dropbear.pid",
        )  # fmt: skip
        return Server(words=words, address=at, port=port, user=user)

    def _nginx(last: int, name: str, servers: str) -> Server:
        at = f"{net}.{last}"
        text = NGINX.format(folder=folder, name=name, servers=servers.format(at=at, folder=folder))
        (folder / f"{name}.conf").write_text(text, encoding="utf-8")
        words = (program("nginx", "nginx"), "-p", folder, "-c", folder / f"{name}.conf")
        return Server(words=words, address=at, port=PORTS["https"])

    made_certificate(folder, f"{net}.4")
    (folder / "users").touch()
    keygen = (program("ssh-keygen", "openssh-client"), "-q", "-N", "", "-t")
    dropbearkey = program("dropbearkey", "dropbear-bin")
    new = host_key(folder / "new", user, *keygen, "ed25519")
    old = host_key(folder / "old", user, *keygen, "rsa", "-b", "1024")
    third = host_key(folder / "third", user, dropbearkey, "-t", "ecdsa")
    servers = {
        "OpenSSH": _sshd(1, new),
        "OpenSSH, old": _sshd(2, old, *OLD_SSH),
        "Dropbear": _dropbear(3, third),
        "nginx, old": _nginx(4, "old", OLD_WEB),
        "nginx, new": _nginx(5, "new", NEW_WEB),
    }
    with hall(walkdown, folder, servers, ports=PORTS) as found:
        yield found


NAMES = {
    "OpenSSH": {"ssh"},
    "OpenSSH, old": {"ssh"},
    "Dropbear": {"ssh"},
    "nginx, old": {"http", "https"},
    "nginx, new": {"http", "https"},
}


@pytest.mark.parametrize(("name", "protocols"), NAMES.items())
def test_it_answers_in_its_own_protocol_and_in_no_other(
    seen: Callable[[str], Seen], name: str, protocols: set[str]
) -> None:
    one = seen(name)

    assert one.answered == protocols
    assert one.bad_ends == []
    assert one.identity == {"device_class": "unknown"}, "software of everybody names no device"


@pytest.mark.parametrize(
    ("name", "software", "key", "methods"),
    [
        ("OpenSSH", "OpenSSH_", ("ssh-ed25519", 256), {"publickey", "password"}),
        ("OpenSSH, old", "OpenSSH_", ("ssh-rsa", 1024), {"publickey"}),
        ("Dropbear", "dropbear_", ("ecdsa-sha2-nistp256", 256), {"publickey", "password"}),
    ],
)
def test_ssh_tells_its_software_its_host_key_and_how_one_logs_in(
    seen: Callable[[str], Seen],
    folder: Path,
    name: str,
    software: str,
    key: tuple[str, int],
    methods: set[str],
) -> None:
    one = seen(name)

    face, host = one.fact("ssh_face"), one.fact("ssh_host_key")
    assert face["banner"].startswith(f"SSH-2.0-{software}")
    assert face["software"].startswith(software)
    assert (host["algorithm"], host["bits"]) == key
    assert host["fingerprint_sha256"] == fingerprint(folder, name)
    told = one.fact("ssh_auth_methods")
    assert set(told["methods"]) - {"keyboard-interactive"} == methods
    assert told["accepts_none"] is False


def fingerprint(folder: Path, name: str) -> str:
    """As the makers' own tools print it."""
    if name == "Dropbear":
        words = (program("dropbearkey", "dropbear-bin"), "-y", "-f", folder / "third")
    else:
        key = folder / ("old" if name == "OpenSSH, old" else "new")
        words = (program("ssh-keygen", "openssh-client"), "-l", "-f", key)
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return next(word for word in said.split() if word.startswith("SHA256:"))


def test_old_algorithms_are_seen_and_judged(seen: Callable[[str], Seen]) -> None:
    face = seen("OpenSSH, old").fact("ssh_face")

    assert face["kex"][:2] == ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1"]
    assert face["host_key"] == ["ssh-rsa"]
    assert face["encryption"] == ["3des-cbc", "aes128-cbc"]
    assert face["mac"] == ["hmac-md5", "hmac-sha1"]
    assert "ssh_weak_algorithms" in seen("OpenSSH, old").weaknesses
    assert "ssh_weak_algorithms" not in seen("OpenSSH").weaknesses


def test_nginx_with_a_login_page_and_old_tls(seen: Callable[[str], Seen]) -> None:
    one = seen("nginx, old")

    plain, inside = one.facts("http_face")
    for face, scheme in ((plain, "http"), (inside, "https")):
        assert face["scheme"] == scheme
        assert face["server"].startswith("nginx/1.")
        assert (face["status"], face["title"]) == (200, "Pump station")
        assert face["asks_login"] is True
    assert plain["redirects_to_https"] is False
    first, second = one.facts("tls_face")
    assert first["version"] == second["version"] == "TLSv1.2"
    assert second["accepted_versions"] == ["TLSv1.2", "TLSv1.1", "TLSv1"]
    assert first["subject"] == f"CN={one.address}"
    assert {"cleartext_management", "tls_weak"} <= one.weaknesses


def test_nginx_with_basic_login_and_new_tls(seen: Callable[[str], Seen]) -> None:
    one = seen("nginx, new")

    plain, inside = one.facts("http_face")
    assert plain["status"] == 301
    assert plain["redirects_to_https"] is True
    assert inside["status"] == 401
    assert (inside["realm"], inside["auth_schemes"]) == ("Sluice", ["Basic"])
    assert inside["asks_login"] is True
    first, second = one.facts("tls_face")
    assert first["version"] == "TLSv1.3"
    assert second["accepted_versions"] == ["TLSv1.3", "TLSv1.2"]
    assert second["refused_versions"] == ["TLSv1.1", "TLSv1"]
    assert not one.weaknesses & {"cleartext_management", "tls_weak"}


def test_nobody_complains_of_us(seen: Callable[[str], Seen], folder: Path) -> None:
    """
    One user that does not exist is named, and nobody tries a password. The canary behind the read
    tier hangs up after the server's banner, on which OpenSSH has its one remark.
    """
    for name in ("OpenSSH", "OpenSSH, old"):
        log = seen(name).log
        assert log.count("Invalid user walkdown") == 1
        assert log.count("kex_exchange_identification: Connection closed by remote host") <= 1
        for complaint in ("Failed", "error", "fatal", "reset", "Unable"):
            assert complaint not in log
    dropbear = seen("Dropbear").log
    assert dropbear.count("nonexistent user") == 1
    assert dropbear.count("Exited normally") == dropbear.count("Child connection") == 3
    for name in ("old", "new"):
        log = seen(f"nginx, {name}").log
        for level in ("[warn]", "[error]", "[crit]", "[alert]", "[emerg]"):
            assert level not in log
        rows = (folder / f"{name}.access").read_text(encoding="utf-8").splitlines()
        assert all('"GET / HTTP/1.1"' in row and "Walkdown" in row for row in rows)
        assert len(rows) == 3  # both faces, and whether it still answers after the handshakes


@pytest.mark.parametrize("name", ["OpenSSH", "Dropbear"])
async def test_ssh_at_the_port_of_telnet_is_no_telnet(
    seen: Callable[[str], Seen], governed: Callable[..., Any], name: str
) -> None:
    """Asked behind the scan and its logs."""
    async with governed(telnet.PROBE, PORTS["ssh"], address=seen(name).address) as session:
        with pytest.raises(BadReply, match="a greeting of SSH"):
            await telnet.PROBE.run(session)
