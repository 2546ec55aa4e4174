from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from checks.tls_weak import CHECK, WEAK_CIPHERS, weak_cipher
from scanner.facts import TlsFace
from scanner.model import Severity, Verdict

GOOD = TlsFace(
    version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    accepted_versions=("TLSv1.2", "TLSv1.3"),
    refused_versions=("TLSv1", "TLSv1.1"),
    key_type="RSA",
    key_bits=2048,
    signature_hash="sha256",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2027, 1, 1, tzinfo=UTC),
    seen_at=datetime(2026, 11, 20, tzinfo=UTC),
)


def told(fact, site):
    return {judgement.about: judgement for judgement in CHECK.judge(fact, site)}


def test_a_modern_server_passes_in_all_three_respects(site):
    assert {j.verdict for j in told(GOOD, site).values()} == {Verdict.PASS}


@pytest.mark.parametrize(
    ("about", "changes", "word"),
    [
        ("protocol", {"accepted_versions": ("TLSv1", "TLSv1.2")}, "TLSv1"),
        ("protocol", {"version": "TLSv1.1", "accepted_versions": None}, "TLSv1.1"),
        ("protocol", {"accepted_versions": ("SSLv3",)}, "SSLv3"),
        ("protocol", {"cipher": "DES-CBC3-SHA"}, "3DES"),
        ("protocol", {"cipher": "TLS_RSA_WITH_RC4_128_MD5"}, "RC4"),
        ("key", {"key_bits": 1024}, "1024"),
        ("key", {"key_type": "EC", "key_bits": 192}, "192"),
        ("key", {"key_type": "DSA"}, "DSA"),
        ("key", {"signature_hash": "SHA-1"}, "SHA-1"),
        ("key", {"signature_hash": "md5WithRSAEncryption"}, "md5"),
        ("validity", {"not_after": datetime(2026, 11, 19, tzinfo=UTC)}, "expired"),
        ("validity", {"not_before": datetime(2026, 11, 21, tzinfo=UTC)}, "before"),
    ],
)
def test_each_weakness_fails_in_its_own_respect_and_is_named(site, about, changes, word):
    judgements = told(replace(GOOD, **changes), site)

    assert judgements[about].verdict is Verdict.FAIL
    assert word in judgements[about].summary
    assert {j.verdict for name, j in judgements.items() if name != about} == {Verdict.PASS}


@pytest.mark.parametrize(
    ("about", "changes"),
    [
        ("protocol", {"accepted_versions": None}),
        ("protocol", {"accepted_versions": ()}),
        ("protocol", {"cipher": None}),
        ("key", {"key_bits": None}),
        ("key", {"key_type": None}),
        ("key", {"signature_hash": None}),
        ("validity", {"not_after": None}),
        ("validity", {"seen_at": None}),
    ],
)
def test_what_was_not_learned_is_not_passed(site, about, changes):
    assert told(replace(GOOD, **changes), site)[about].verdict is Verdict.NOT_CHECKED


def test_older_versions_that_were_not_tried_are_said_to_be_untried(site):
    fact = replace(GOOD, accepted_versions=None, refused_versions=None)

    assert "tier read" in told(fact, site)["protocol"].summary


def test_each_respect_names_its_own_part_of_the_requirements(site):
    judgements = told(GOOD, site)

    assert judgements["validity"].requirements == ("SR 1.8",)
    assert judgements["protocol"].requirements == ("SR 4.3",)
    assert all(set(j.requirements) <= set(CHECK.requirements) for j in judgements.values())


def test_ssl_weighs_more_than_an_old_tls(site):
    assert told(replace(GOOD, version="SSLv3"), site)["protocol"].severity is Severity.HIGH


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TLS_RSA_WITH_NULL_SHA", "does not encrypt"),
        ("EXP-RC4-MD5", "export-grade key"),
        ("TLS_DH_anon_WITH_AES_128_CBC_SHA", "no server identity"),
        ("ECDHE-RSA-RC4-SHA", "RC4"),
        ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", "3DES"),
        ("DES-CBC3-SHA", "3DES"),
        ("TLS_RSA_WITH_DES_CBC_SHA", "single DES"),
    ],
)
def test_weak_ciphers_are_known_under_both_ways_of_naming(name, reason):
    assert weak_cipher(name).reason == reason


@pytest.mark.parametrize(
    "name",
    ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES256-SHA384"],
)
def test_strong_ciphers_are_left_alone(name):
    assert weak_cipher(name) is None


def test_every_weak_cipher_has_a_source():
    assert all(row.source for row in WEAK_CIPHERS)
