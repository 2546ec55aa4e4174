from __future__ import annotations

from dataclasses import replace

import pytest

from checks.ssh_weak_algorithms import CHECK, WEAK, weak
from scanner.facts import SshFace
from scanner.model import Severity, Verdict

GOOD = SshFace(
    banner="SSH-2.0-OpenSSH_9.6",
    protocol_version="2.0",
    kex=("mlkem768x25519-sha256", "curve25519-sha256", "diffie-hellman-group14-sha256"),
    host_key=("ssh-ed25519", "rsa-sha2-512"),
    encryption=("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"),
    mac=("hmac-sha2-256-etm@openssh.com", "hmac-sha1"),
)


def test_a_modern_server_passes(site):
    (judgement,) = CHECK.judge(GOOD, site)

    assert judgement.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("kex", "diffie-hellman-group1-sha1"),
        ("kex", "gss-gex-sha1-toWM5Slw5Ew8Mqkay+al2g=="),
        ("host_key", "ssh-dss"),
        ("host_key", "ssh-rsa"),
        ("encryption", "arcfour256"),
        ("encryption", "3des-cbc"),
        ("encryption", "aes128-cbc"),
        ("encryption", "none"),
        ("mac", "hmac-md5-96"),
    ],
)
def test_one_weak_algorithm_among_good_ones_fails_and_is_named(site, field, name):
    fact = replace(GOOD, **{field: (*getattr(GOOD, field), name)})

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is Verdict.FAIL
    assert name in judgement.summary
    assert judgement.severity is None


@pytest.mark.parametrize("version", ["1.99", "1.5"])
def test_ssh_1_weighs_more_than_an_algorithm(site, version):
    (judgement,) = CHECK.judge(replace(GOOD, protocol_version=version), site)

    assert (judgement.verdict, judgement.severity) == (Verdict.FAIL, Severity.HIGH)


@pytest.mark.parametrize("field", ["kex", "host_key", "encryption", "mac", "protocol_version"])
def test_a_list_that_was_not_learned_is_not_passed(site, field):
    (judgement,) = CHECK.judge(replace(GOOD, **{field: None}), site)

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_an_empty_list_is_not_passed(site):
    (judgement,) = CHECK.judge(replace(GOOD, mac=()), site)

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_only_host_keys_touch_the_requirement_on_public_keys(site):
    (of_key,) = CHECK.judge(replace(GOOD, host_key=("ssh-rsa",)), site)
    (of_mac,) = CHECK.judge(replace(GOOD, mac=("hmac-md5",)), site)

    assert of_key.requirements == ("SR 1.9", "SR 4.3")
    assert of_mac.requirements == ("SR 4.3",)


@pytest.mark.parametrize("row", WEAK, ids=lambda row: f"{row.kind} {row.name}")
def test_every_row_has_a_source_and_matches_only_its_own_kind(row):
    name = row.name.rstrip("*")

    assert row.reason
    assert row.source
    assert row in [hit for _, hit in weak(row.kind, (name,))]
    others = {other.kind for other in WEAK if other.names(name)} - {row.kind}
    assert not others or row.name == "none"
