from __future__ import annotations

import re
from datetime import date

import pytest

from credentials import sets
from scanner.errors import ToolBug
from scanner.model import Identity

GOOD = """
- id: acme-http
  vendor: Acme
  product: "X-?1\\\\d\\\\d"
  example: {vendor: Acme, model: X100}
  protocol: http
  user: admin
  secret: hunter2-canary
  options: {scheme: basic, path: /}
  document: Acme X100 manual
  source: https://example.org/x100
  read: 2026-11-21
"""


@pytest.mark.parametrize("entry", sets.load(), ids=lambda entry: entry.id)
def test_every_entry_has_a_source_and_matches_exactly_its_own_product(entry):
    (found,) = sets.match(entry.example, entry.protocol)

    assert found.id == entry.id
    assert re.fullmatch(r"[a-z0-9-]+", entry.id)
    assert entry.document
    assert date(2026, 1, 1) <= entry.read
    assert entry.product.search("") is None, "an expression that matches anything guesses"
    assert entry.vendor.search("") is None
    assert entry.user or entry.protocol == "snmp"


def test_the_set_covers_every_protocol_and_many_vendors():
    entries = sets.load()

    assert {entry.protocol for entry in entries} == set(sets.PROTOCOLS)
    assert len({entry.example.vendor for entry in entries}) >= 12
    assert len(entries) >= 20


@pytest.mark.parametrize(
    "identity",
    [
        Identity(),
        Identity(vendor="Siemens"),
        Identity(model="SCALANCE S615"),
        Identity(vendor="Siemens", model=""),
        Identity(vendor="Siemens", model="SIMATIC S7-1200"),
        Identity(vendor="Other", model="SCALANCE S615"),
    ],
)
def test_a_device_whose_product_is_not_proven_gets_no_pair(identity):
    assert all(sets.match(identity, protocol) == () for protocol in sets.PROTOCOLS)


def test_the_order_number_names_a_product_too():
    identity = Identity(vendor="WAGO", order_number="750-8210/040-000")

    (found,) = sets.match(identity, "http")

    assert found.id == "wago-pfc200-http"


def test_a_pair_for_http_is_for_https_too_and_names_the_product_as_it_was_seen():
    identity = Identity(vendor="Siemens AG", model="SCALANCE S615" + "x" * 500)

    assert sets.match(identity, "https") == ()
    (found,) = sets.match(Identity(vendor="Siemens AG", model="SCALANCE S615"), "https")

    assert (found.vendor, found.product) == ("Siemens AG", "SCALANCE S615")


def test_a_long_name_from_a_device_is_bounded():
    (found,) = sets.match(Identity(vendor="WAGO", model="750-363 " + "x" * 500), "http")

    assert len(found.product) <= sets.LONGEST_NAME


def test_a_pair_is_for_its_own_protocol_only():
    identity = Identity(vendor="APC", model="Metered Rack PDU")

    assert [bool(sets.match(identity, protocol)) for protocol in sets.PROTOCOLS] == [
        False,
        True,
        True,
        False,
    ]


def test_at_most_one_pair_is_given_and_it_is_the_more_exact_one():
    wide = GOOD.replace("acme-http", "acme-wide").replace('"X-?1\\\\d\\\\d"', '"X"')
    entries = sets.parse(wide, "wide") + sets.parse(GOOD, "good")

    found = sets.match(Identity(vendor="ACME Inc", model="x100"), "http", entries)

    assert [one.id for one in found] == ["acme-http"]


@pytest.mark.parametrize(
    ("firmware", "matches"),
    [("V4.9.1", True), ("FW 4.10", True), ("V5.0", False), ("5.0.1", False), (None, False),
     ("unknown", False)],
)  # fmt: skip
def test_a_version_family_must_be_proven(firmware, matches):
    entries = sets.parse(GOOD + '  firmware_below: "5.0"\n', "x")

    found = sets.match(Identity(vendor="Acme", model="X100", firmware=firmware), "http", entries)

    assert bool(found) is matches


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- id: acme-http", "- name: acme-http"),
        ("  user: admin\n", ""),
        ("  user: admin\n", "  user: 5\n"),
        ("  user: admin\n", "  user: admin\n  colour: red\n"),
        ("protocol: http", "protocol: s7"),
        ("source: https://example.org/x100", "source: I remember it"),
        ("document: Acme X100 manual", "document: ''"),
        ("read: 2026-11-21", "read: yesterday"),
        ('product: "X-?1\\\\d\\\\d"', 'product: "X("'),
        ("path: /}", "path: x}"),
        ("scheme: basic", "scheme: digest"),
        ("scheme: basic", "scheme: form"),
        ("path: /}", "path: /, verb: DELETE}"),
        ("example: {vendor: Acme, model: X100}", "example: {vendor: Acme}"),
        ("example: {vendor: Acme, model: X100}", "example: {vendor: A, model: X, colour: red}"),
        (GOOD, "just text"),
        (GOOD, "[1, 2]"),
        (GOOD, "a: [unclosed"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused_with_its_place(old, new):
    assert old in GOOD

    with pytest.raises(ToolBug, match="credential set test"):
        sets.parse(GOOD.replace(old, new), "test")


def test_no_secret_shows_in_an_entry_or_a_match():
    entries = sets.parse(GOOD, "test")

    shown = repr(entries) + repr(sets.match(Identity(vendor="Acme", model="X100"), "http", entries))

    assert "hunter2-canary" not in shown
