"""The auditor reads TFTP: only the request for the file that nobody has is a read."""

from __future__ import annotations

import pytest

from scanner.audit import requests
from scanner.model import Tier
from tests.proof.judge.injected import tftp


def verdicts(sent: bytes) -> set[str]:
    return {one.verdict for one in requests.name("tftp", Tier.IDENTIFY, sent)}


@pytest.mark.parametrize("name", tftp.WRITES)
def test_an_injected_write_fails_the_certificate(name: str) -> None:
    assert verdicts(tftp.WRITES[name][2][-1]) == {"write"}


@pytest.mark.parametrize("name", tftp.NOT_ONLY_READING)
def test_a_read_of_any_other_file_is_unknown_and_so_fails_it(name: str) -> None:
    assert verdicts(tftp.NOT_ONLY_READING[name][2][-1]) == {"unknown"}


def test_the_read_of_no_file_is_a_read() -> None:
    (found,) = requests.name("tftp", Tier.IDENTIFY, tftp.HARMLESS["tftp read of no file"][2][0])

    assert (found.verdict, found.foreign) == ("read", False)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\xff" * 40, b"\0\1", b"\0\1\0octet\0",
        b"\0\1name\0octet", tftp.FOREIGN["SNMP to TFTP"][2],
    ],
)  # fmt: skip
def test_other_bytes_are_no_request_at_all(sent: bytes) -> None:
    (found,) = requests.name("tftp", Tier.READ, sent)

    assert (found.verdict, found.foreign) == ("unknown", True)
