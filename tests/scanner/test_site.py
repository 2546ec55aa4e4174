"""A site file is either a site with everything resolved, or one list of all its problems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import SiteError, SiteErrors, UsageError
from scanner.model import DeviceClass, Flow, Identity, Tier, Transport
from scanner.site import Site, load, resolve
from scanner.windows import authorisation_problem, permission
from scanner.yamlfile import parse

PROBES = frozenset({"modbus", "s7", "enip", "snmp", "http", "ssh", "telnet"})
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

HARBOUR = """\
site: Harbour waterworks
authorisation: {reference: CHG-2026-0142, owner: Shift lead, contact: "ext. 4711",
                valid_from: 2026-11-20T18:00+01:00, valid_until: 2026-11-21T06:00+01:00}
windows: [{id: night, start: 2026-11-20T22:00, duration: 4h, rrule: FREQ=WEEKLY,
           timezone: Europe/Berlin}]
zones:
  - {id: supervision, name: Supervision, purdue: 2, networks: [127.30.1.0/24], sl_t: 2,
     probes: [modbus, http, ssh, snmp]}
  - {id: control, name: Process control, purdue: 1, networks: [127.30.0.0/24],
     exclude: [127.30.0.9],
     sl_t: {iac: 2, uc: 2, si: 2, dc: 1, rdf: 2, tre: 1, ra: 2}, tier: identify, window: night,
     profile: default,
     assets: [{address: 127.30.0.12, addresses: [127.30.0.13], name: PLC-12, vendor: Siemens,
               ports: {modbus: 1502}, tier: passive, profile: fragile, probes: [http],
               consent: [cleartext], criticality: high}]}
conduits:
  - {id: c1, from: supervision, to: control, sl_t: 2, remote_access: false, monitored_by: null,
     allow: [{protocol: modbus, transport: tcp, port: 502}]}
backups: {sources: [{id: nas, kind: folder, path: backups}],
          policy: {plc: {max_age: 30d}, switch: {max_age: 7d}}}
services: []
attestations: attestations.yaml
"""


def site(text: str, now: datetime | None = NOW) -> Site:
    return resolve(parse(dedent(text), Path("/plant/site.yaml")), known_probes=PROBES, now=now)


def errors(text: str, now: datetime | None = NOW) -> tuple[SiteError, ...]:
    with pytest.raises(SiteErrors) as caught:
        site(text, now)
    return caught.value.errors


def only_error(text: str, now: datetime | None = NOW) -> SiteError:
    (found,) = errors(text, now)
    return found


def plant(zone: str = "", rest: str = "", networks: str = "[10.0.0.0/24]") -> str:
    """A minimal site with one zone `z`, to which lines are added."""
    text = f"site: Plant\nzones:\n  - id: z\n    networks: {networks}\n    sl_t: 1\n"
    for line in dedent(zone).strip().splitlines():
        text += f"    {line}\n"
    return text + rest


# --- the file of the design --------------------------------------------------------------------


def test_the_example_of_the_contract_loads_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(HARBOUR, encoding="utf-8")

    found = load(file, known_probes=PROBES, now=NOW)

    assert found.name == "Harbour waterworks"
    assert [zone.id for zone in found.zones] == ["supervision", "control"]
    assert found.attestations == tmp_path / "attestations.yaml"
    assert found.state == str(tmp_path / "site.state.db")
    assert found.backups.sources[0].path == tmp_path / "backups"
    assert found.backups.max_age == {
        DeviceClass.PLC: timedelta(days=30),
        DeviceClass.SWITCH: timedelta(days=7),
    }


def test_one_level_is_spread_over_all_seven_frs() -> None:
    infos = {info.id: info for info in site(HARBOUR).zone_infos()}

    assert infos["supervision"].sl_t == dict.fromkeys(
        ("iac", "uc", "si", "dc", "rdf", "tre", "ra"), 2
    )
    assert infos["control"].sl_t["tre"] == 1
    assert infos["control"].networks == ("127.30.0.0/24",)
    assert infos["control"].profile == "default"


def test_conduits_keep_their_direction_and_allowed_traffic() -> None:
    (conduit,) = site(HARBOUR).conduit_infos()

    assert (conduit.from_zone, conduit.to_zone) == ("supervision", "control")
    assert conduit.allow == (Flow(protocol="modbus", transport=Transport.TCP, port=502),)
    assert conduit.monitored_by is None


def test_a_declared_asset_keeps_what_its_owner_says() -> None:
    (declared,) = site(HARBOUR).declared()

    assert declared.zone == "control"
    assert declared.address == "127.30.0.12"
    assert declared.addresses == ("127.30.0.13",)
    assert declared.name == "PLC-12"
    assert declared.identity == Identity(vendor="Siemens")
    assert declared.criticality == "high"


def test_text_of_an_identity_is_kept_as_written() -> None:
    found = site(plant("assets: [{name: A, firmware: 2.10, serial: 007, hardware: yes}]"))

    identity = found.declared()[0].identity
    assert (identity.firmware, identity.serial, identity.hardware) == ("2.10", "007", "yes")


def test_an_asset_without_address_is_kept() -> None:
    (declared,) = site(plant("assets: [{name: Spare PLC, class: plc}]")).declared()

    assert declared.address is None
    assert declared.device_class is DeviceClass.PLC


def test_checks_get_what_the_owner_demands() -> None:
    found = site(
        plant(rest="policy: {session_timeout_max: 10m, generic_accounts: [oper], max_age: 30d,\n"
                   "         time_servers: [10.0.0.9], log_targets: [10.0.0.8]}\n"
                   "backups: {sources: [{id: g, kind: git, path: repo}], policy: "
                   "{plc: {max_age: 30d}}}\n")
    )  # fmt: skip

    policy = found.for_checks(NOW)

    assert policy.session_timeout_max_s == 600
    assert policy.generic_accounts == ("oper",)
    assert (policy.time_servers, policy.log_targets) == (("10.0.0.9",), ("10.0.0.8",))
    assert (policy.backup_required, policy.backup_sources) == (("plc",), 1)
    assert found.demands.max_age == timedelta(days=30)


# --- what holds for an address -----------------------------------------------------------------


def test_an_asset_overrides_its_zone_for_all_its_addresses() -> None:
    found = site(HARBOUR)

    for address in ("127.30.0.12", "127.30.0.13"):
        policy = found.settings("control", address)
        assert policy.tier is Tier.PASSIVE
        assert policy.profile.name == "fragile"
        assert policy.probes == ("http",)
        assert policy.named_probes
        assert policy.ports == {"modbus": (1502,)}
        assert policy.consent == {"cleartext"}
        assert policy.window == "night"
        assert policy.asset is not None


def test_an_undeclared_address_gets_its_zones_settings() -> None:
    policy = site(HARBOUR).settings("supervision", "127.30.1.7")

    assert policy.tier is Tier.IDENTIFY
    assert policy.profile.name == "default"
    assert policy.probes == ("modbus", "http", "ssh", "snmp")
    assert not policy.named_probes
    assert policy.window is None
    assert policy.asset is None


@pytest.mark.parametrize(
    ("top", "zone", "asset", "asked"),
    [
        ("", "", "", True),
        ("snmp_public: false\n", "", "", False),
        ("snmp_public: false\n", "snmp_public: true", "", True),
        ("", "snmp_public: false", "", False),
        ("", "snmp_public: false", ", snmp_public: true", True),
        ("", "", ", snmp_public: false", False),
    ],
)
def test_the_nearest_word_on_snmp_public_holds(
    top: str, zone: str, asset: str, asked: bool
) -> None:
    found = site(plant(f"{zone}\nassets: [{{address: 10.0.0.5{asset}}}]", top))

    assert found.settings("z", "10.0.0.5").snmp_public is asked


def test_every_address_of_a_chassis_has_one_key() -> None:
    found = site(HARBOUR)

    assert found.chassis("control", "127.30.0.12") == found.chassis("control", "127.30.0.13")
    assert found.chassis("control", "127.30.0.14") != found.chassis("control", "127.30.0.12")


TWO_FEET = """\
site: Plant
zones:
  - {id: upper, networks: [10.1.0.0/24], sl_t: 1, profile: robust, tier: login,
     assets: [{address: 10.1.0.5, addresses: [10.0.0.5], name: Jump host}]}
  - {id: lower, networks: [10.0.0.0/24], sl_t: 1, profile: fragile, tier: identify,
     snmp_public: false}
"""


def test_a_device_with_a_foot_in_two_zones_is_one_chassis_under_the_stricter_rules() -> None:
    found = site(TWO_FEET.replace("[10.0.0.0/24]", "[10.0.0.0/26]"))

    above, below = found.settings("upper", "10.1.0.5"), found.settings("lower", "10.0.0.5")

    assert found.chassis("upper", "10.1.0.5") == found.chassis("lower", "10.0.0.5")
    assert above.profile.name == below.profile.name == "fragile"
    assert (above.tier, below.tier) == (Tier.LOGIN, Tier.IDENTIFY)
    assert above.snmp_public
    assert not below.snmp_public


def test_a_login_is_a_reference_and_never_a_secret() -> None:
    found = site(
        plant("""
        assets:
          - address: 10.0.0.5
            login: {platform: cisco_ios, user: auditor, secret: file:keys/plc,
                    host_key: "SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDqsSAd01ZfvnRcz0M"}
        """)
    )

    login = found.settings("z", "10.0.0.5").login

    assert login is not None
    assert login.secret == "file:/plant/keys/plc"


def test_environment_references_are_kept_as_they_are() -> None:
    found = site(
        plant("""
        assets:
          - address: 10.0.0.5
            login: {platform: linux, user: auditor, secret: env:PLC_SECRET,
                    host_key: "SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDqsSAd01ZfvnRcz0M"}
        """)
    )

    login = found.settings("z", "10.0.0.5").login

    assert login is not None
    assert login.secret == "env:PLC_SECRET"


# --- scope -------------------------------------------------------------------------------------


def test_network_and_broadcast_addresses_are_never_asked() -> None:
    addresses = list(site(plant(networks="[10.0.0.0/29]")).addresses("z"))

    assert addresses == [f"10.0.0.{last}" for last in range(1, 7)]


def test_small_networks_have_no_broadcast_address() -> None:
    found = site(plant(networks="[10.0.0.0/31, 10.0.0.4/32, 10.0.0.8]"))

    assert list(found.addresses("z")) == ["10.0.0.0", "10.0.0.1", "10.0.0.4", "10.0.0.8"]


def test_excluded_addresses_and_networks_are_out_of_scope() -> None:
    found = site(plant("exclude: [10.0.0.2, 10.0.0.4/30]", networks="[10.0.0.0/29]"))

    assert list(found.addresses("z")) == ["10.0.0.1", "10.0.0.3"]
    assert not found.in_scope("z", "10.0.0.2")
    assert found.zone_of("10.0.0.5") is None
    assert found.zone_of("10.0.0.3") == "z"


def test_exclusion_wins_over_declaration() -> None:
    found = site(
        plant("exclude: [10.0.0.5]\nassets: [{address: 10.0.0.5}]", networks="[10.0.0.4/30]")
    )

    assert list(found.addresses("z")) == ["10.0.0.6"]
    assert len(found.declared()) == 1


def test_networks_that_contain_each_other_are_asked_once() -> None:
    found = site(plant(networks="[10.0.0.0/29, 10.0.0.4/30]"))

    assert sorted(found.addresses("z")) == [f"10.0.0.{last}" for last in range(1, 7)]


def test_a_large_ipv6_network_is_asked_for_its_declared_assets_only() -> None:
    found = site(plant('assets: [{address: "fd00:1::0005"}]', networks='["fd00:1::/64"]'))

    assert list(found.addresses("z")) == ["fd00:1::5"]
    assert found.in_scope("z", "fd00:1::5")
    assert not found.in_scope("z", "fd00:1::6")


def test_a_small_ipv6_network_is_walked() -> None:
    assert len(list(site(plant(networks='["fd00:1::/120"]')).addresses("z"))) == 256


def test_the_largest_network_of_profile_robust_is_walked_once_each() -> None:
    addresses = list(site(plant("profile: robust", networks="[10.0.0.0/16]")).addresses("z"))

    assert len(addresses) == len(set(addresses)) == 2**16 - 2


def test_loopback_only_means_every_network() -> None:
    assert site(HARBOUR).loopback_only
    assert not site(plant()).loopback_only
    assert site(plant("profile: lab", networks='[127.0.0.0/16, "::1"]')).loopback_only


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_address_outside_the_networks_or_inside_an_exclusion_is_ever_listed(
    data: st.DataObject,
) -> None:
    def entry(prefixes: tuple[int, int]) -> str:
        prefix = data.draw(st.integers(*prefixes))
        block = data.draw(st.integers(0, 2 ** (prefix - 24) - 1)) << (32 - prefix)
        return f"10.0.0.{block}/{prefix}"

    networks = [entry((26, 32)) for _ in range(data.draw(st.integers(1, 3)))]
    exclude = [entry((27, 32)) for _ in range(data.draw(st.integers(0, 3)))]
    found = site(plant(f"exclude: [{', '.join(exclude)}]", networks=f"[{', '.join(networks)}]"))

    listed = list(found.addresses("z"))

    assert len(listed) == len(set(listed))
    allowed = {str(ip) for network in found.zone("z").networks for ip in network}
    refused = {str(ip) for network in found.zone("z").exclude for ip in network}
    assert set(listed) <= allowed - refused
    assert all(found.zone_of(address) == "z" for address in listed)


# --- authorisation -----------------------------------------------------------------------------


def test_a_plant_without_authorisation_loads_but_may_not_be_scanned() -> None:
    problem = authorisation_problem(site(plant()), NOW)

    assert problem is not None
    assert "no authorisation" in problem


def test_a_plant_on_loopback_obeys_the_authorisation_and_the_window_it_states() -> None:
    found = site(HARBOUR)
    evening, night = (datetime(2026, 11, 20, hour, tzinfo=UTC) for hour in (18, 22))

    assert not permission(found, "supervision", NOW).allowed
    assert permission(found, "supervision", evening).allowed
    assert not permission(found, "control", evening).allowed
    assert permission(found, "control", night).allowed


# --- loosenings --------------------------------------------------------------------------------


def test_a_cautious_site_has_no_loosenings() -> None:
    assert (
        site(plant("profile: fragile\ntier: passive", networks="[10.0.0.0/26]")).loosenings() == ()
    )


def test_every_loosening_is_a_sentence() -> None:
    found = site(
        plant("""
        profile: robust
        tier: read
        assets:
          - {address: 10.0.0.5, name: HMI, tier: login, profile: robust, consent: [cleartext],
             probes: [http]}
          - {address: 10.0.0.6, profile: fragile, tier: passive}
        """)
    )

    assert found.loosenings() == (
        "Zone z is paced by profile robust: up to 40 packets to a device in any second, "
        "a connection every 0.25 s, 1000 packets in the zone.",
        "Zone z is scanned in tier read, above identify.",
        "Asset HMI in zone z is paced by profile robust: up to 40 packets to a device in any "
        "second, a connection every 0.25 s, 1000 packets in the zone.",
        "Asset HMI in zone z is scanned in tier login, above identify.",
        "Asset HMI in zone z lists its probes, so they are asked even if it is a controller.",
        "Asset HMI in zone z may be sent credentials over protocols that do not encrypt.",
    )


def test_the_lab_profile_is_a_loosening_too() -> None:
    (sentence,) = site(plant("profile: lab", networks="[127.0.0.0/24]")).loosenings()

    assert "no cap" in sentence


# --- bad input ---------------------------------------------------------------------------------

BAD = {
    "unknown top-level key": (
        plant(rest="zonez: []\n"), 6, "unknown key 'zonez'", "did you mean 'zones'?"),
    "unknown zone key": (
        plant("profle: default"), 6, "unknown key 'profle'", "did you mean 'profile'?"),
    "unknown asset key": (
        plant("assets: [{address: 10.0.0.5, vendr: x}]"), 6, "unknown key 'vendr'",
        "did you mean 'vendor'?"),
    "unknown login key": (
        plant("assets: [{name: a, login: {platform: linux, user: u, secret: env:A, hostkey: x}}]"),
        6, "unknown key 'hostkey'", "did you mean 'host_key'?"),
    "wrong type": (
        plant("snmp_public: perhaps"), 6, "snmp_public: expected true or false", ""),
    "scalar for a list": (
        plant(networks="10.0.0.0/24"), 4, "networks: expected a list, as in [a, b]", ""),
    "overlapping networks": (
        plant(rest="  - {id: y, networks: [10.0.0.128/25], sl_t: 1}\n"), 6,
        "10.0.0.128/25 of zone y overlaps 10.0.0.0/24 of zone z", "line 4"),
    "sl_t too high": (
        "site: P\nzones: [{id: z, networks: [],\n  sl_t: 5}]\n", 3,
        "sl_t: 5 is not a security level", "0 to 4"),
    "sl_t negative": (
        "site: P\nzones: [{id: z, networks: [],\n  sl_t: {iac: -1, uc: 1, si: 1, dc: 1,\n"
        "  rdf: 1, tre: 1, ra: 1}}]\n", 3, "iac: -1 is not a security level", "0 to 4"),
    "sl_t of an unknown FR": (
        "site: P\nzones: [{id: z, networks: [],\n  sl_t: {iac: 1, uc: 1, si: 1, dc: 1,\n"
        "  rdf: 1, tre: 1, ra: 1, rb: 1}}]\n", 4, "unknown key 'rb'", "known are"),
    "sl_t missing": (
        "site: P\nzones: [{id: z, networks: []}]\n", 2, "the key 'sl_t' is missing", "0 to 4"),
    "asset outside its zone": (
        plant("assets: [{address: 10.0.1.5}]"), 6, "10.0.1.5 lies outside the networks of zone z",
        "add 10.0.1.5/32"),
    "further address outside every zone": (
        plant("assets: [{address: 10.0.0.5, addresses: [10.9.0.5]}]"), 6,
        "10.9.0.5 lies outside every zone's networks", "add 10.9.0.5/32"),
    "asset on the broadcast address": (
        plant("assets: [{address: 10.0.0.255}]"), 6,
        "10.0.0.255 is the network or broadcast address of 10.0.0.0/24", "/32"),
    "two assets with one address": (
        plant("assets:\n  - {address: 10.0.0.5}\n  - {address: 10.0.0.6, addresses: [10.0.0.5]}"),
        8, "two assets have the address 10.0.0.5", "line 7"),
    "two nameless assets with one name": (
        plant("assets:\n  - {name: A}\n  - {name: A}"), 8,
        "two assets without address are named 'A'", "differ"),
    "asset without name and address": (
        plant("assets:\n  - {vendor: x}"), 7, "an asset has neither address nor name", ""),
    "unknown zone in a conduit": (
        plant(rest="conduits: [{id: c, from: z,\n  to: zz, sl_t: 1}]\n"), 7,
        "to: there is no zone 'zz'", "did you mean 'z'?"),
    "conduit to itself": (
        plant(rest="conduits: [{id: c, from: z, to: z, sl_t: 1}]\n"), 6,
        "the conduit c joins zone z with itself", "two zones"),
    "unknown probe": (
        plant("probes: [http, modbuss]"), 6, "there is no probe 'modbuss'",
        "did you mean 'modbus'?"),
    "unknown probe of an asset": (
        plant("assets: [{address: 10.0.0.5, probes: [ftp]}]"), 6, "there is no probe 'ftp'", ""),
    "unknown probe in ports": (
        plant("assets: [{address: 10.0.0.5, ports: {modbos: 1502}}]"), 6,
        "ports: there is no probe 'modbos'", "did you mean 'modbus'?"),
    "port out of range": (
        plant("assets: [{address: 10.0.0.5, ports: {modbus: 70000}}]"), 6,
        "modbus: 70000 is not a port", "65535"),
    "printer port": (
        plant("assets: [{address: 10.0.0.5, ports: {http: [80, 9100]}}]"), 6,
        "http: port 9100 is never asked", "print"),
    "four unit ids": (
        plant("assets: [{address: 10.0.0.5, unit_ids: [1, 2, 3, 4]}]"), 6,
        "unit_ids: 4 unit ids are listed", "at most 3"),
    "reserved unit id": (
        plant("assets: [{address: 10.0.0.5, unit_ids: [250]}]"), 6,
        "unit_ids: 250 is not a Modbus unit id", "247"),
    "four dnp3 addresses": (
        plant("assets: [{address: 10.0.0.5, dnp3_addresses: [1, 2, 3, 4]}]"), 6,
        "dnp3_addresses: 4 DNP3 addresses are listed", "at most 3"),
    "a dnp3 broadcast": (
        plant("assets: [{address: 10.0.0.5, dnp3_addresses: [65535]}]"), 6,
        "dnp3_addresses: 65535 is not a DNP3 address", "65519"),
    "window over": (
        plant(rest="windows: [{id: w, start: 2026-11-01T22:00, duration: 4h, "
                   "timezone: Europe/Berlin}]\n"), 6, "the window w is in the past", "FREQ"),
    "recurrence over": (
        plant(rest="windows: [{id: w, start: 2026-11-01T22:00, duration: 4h, rrule: "
                   "FREQ=DAILY;COUNT=2, timezone: UTC}]\n"), 6, "the window w is in the past", ""),
    "bad rule": (
        plant(rest="windows: [{id: w, start: 2026-12-01T22:00, duration: 4h,\n"
                   "  rrule: FREQ=OFTEN, timezone: UTC}]\n"), 7, "rrule: FREQ must be", ""),
    "unknown time zone": (
        plant(rest="windows: [{id: w, start: 2026-12-01T22:00, duration: 4h,\n"
                   "  timezone: Europe/Berln}]\n"), 7,
        "timezone: 'Europe/Berln' is not a known time zone", "did you mean 'Europe/Berlin'?"),
    "path as time zone": (
        plant(rest="windows: [{id: w, start: 2026-12-01T22:00, duration: 4h,\n"
                   "  timezone: ../../etc/passwd}]\n"), 7, "is not a known time zone", ""),
    "window without time zone": (
        plant(rest="windows: [{id: w, start: 2026-12-01T22:00, duration: 4h}]\n"), 6,
        "the window w has no time zone", "Europe/Berlin"),
    "endless window": (
        plant(rest="windows: [{id: w, start: 2026-12-01T22:00, duration: 400d, timezone: UTC}]\n"),
        6, "duration: a window lasts at most 60 days", ""),
    "unknown window": (
        plant("window: nigth", "windows: [{id: night, start: 2026-12-01T22:00, duration: 4h, "
              "timezone: UTC}]\n"), 6, "the window 'nigth' is not defined",
        "did you mean 'night'?"),
    "network too large for default": (
        plant(networks="[10.0.0.0/21]"), 4,
        "10.0.0.0/21 is larger than profile default allows (/22)", "choose profile: robust"),
    "network too large for fragile": (
        plant("profile: fragile"), 4, "10.0.0.0/24 is larger than profile fragile allows (/26)",
        "split it into networks of /26"),
    "network too large for robust": (
        plant("profile: robust", networks="[10.0.0.0/15]"), 4,
        "10.0.0.0/15 is larger than profile robust allows (/16)", "those that hold devices"),
    "IPv6 network too large for fragile": (
        plant("profile: fragile", networks='["fd00::/121"]'), 4,
        "fd00::/121 is larger than profile fragile allows (/122)", "split"),
    "lab beyond loopback": (
        plant("profile: lab"), 4, "profile lab is for loopback only", "default"),
    "lab asset beyond loopback": (
        plant("assets: [{address: 10.0.0.5, profile: lab}]"), 6,
        "profile lab is for loopback only, and 10.0.0.5", "default"),
    "unknown tier": (
        plant("tier: identfy"), 6, "tier: 'identfy' is not known here",
        "did you mean 'identify'?"),
    "a tier for writing": (
        plant("tier: write"), 6, "tier: 'write' is not known here", ""),
    "unknown profile": (
        plant("profile: fast"), 6, "profile: 'fast' is not known here", ""),
    "unknown class": (
        plant("assets: [{address: 10.0.0.5, class: plcc}]"), 6, "class: 'plcc' is not known here",
        "did you mean 'plc'?"),
    "host bits": (
        plant(networks="[10.0.0.5/24]"), 4, "networks: '10.0.0.5/24' has bits set",
        "the network is 10.0.0.0/24"),
    "a name instead of an address": (
        plant("assets: [{address: plc12.local}]"), 6, "is not an IP address", "not looked up"),
    "multicast": (plant(networks="[224.0.0.0/24]"), 4, "is not made of device addresses", ""),
    "everything": (plant(networks="[0.0.0.0/0]"), 4, "is not made of device addresses", ""),
    "mapped IPv4": (
        plant("assets: [{address: '::ffff:10.0.0.5'}]"), 6, "holds IPv4 addresses in IPv6 form",
        "as IPv4"),
    "link-local with interface": (
        plant("assets: [{address: 'fe80::1%eth0'}]"), 6, "names an interface", ""),
    "two zones with one id": (
        plant(rest="  - {id: z, networks: [], sl_t: 1}\n"), 6, "there are two zones with the id",
        "line 3"),
    "an id that breaks references": (
        "site: P\nzones: [{id: a/b, networks: [], sl_t: 1}]\n", 2, "'a/b' cannot be an id", ""),
    "authorisation that ends first": (
        plant(rest="authorisation: {reference: r, owner: o, contact: c,\n"
                   "  valid_from: 2026-11-21T18:00+01:00,\n"
                   "  valid_until: 2026-11-20T18:00+01:00}\n"), 8,
        "the authorisation ends before it begins", ""),
    "authorisation without offset": (
        plant(rest="authorisation: {reference: r, owner: o, contact: c,\n"
                   "  valid_from: 2026-11-20T18:00,\n"
                   "  valid_until: 2026-11-21T18:00+01:00}\n"), 7, "has no offset from UTC",
        "+01:00"),
    "a bare date": (
        plant(rest="authorisation: {reference: r, owner: o, contact: c,\n"
                   "  valid_from: 2026-11-20,\n"
                   "  valid_until: 2026-11-21T18:00+01:00}\n"), 7, "is not a date and time", ""),
    "bad duration": (
        plant(rest="policy: {max_age: fortnight}\n"), 6, "max_age: 'fortnight' is not a duration",
        "30d"),
    "duration of nothing": (
        plant(rest="policy: {max_age: 0d}\n"), 6, "max_age: '0d' is not a duration", ""),
    "control character": (
        'site: "a\\eb"\nzones: [{id: z, networks: [], sl_t: 1}]\n', 1,
        "site: contains a control character", ""),
    "no zone": ("site: P\nzones: []\n", 2, "no zone is defined", "at least one"),
    "a device as a service": (
        plant("assets: [{address: 10.0.0.5}]",
              "services: [{id: s, kind: database, address: 10.0.0.5, port: 5432}]\n"), 7,
        "10.0.0.5 is an asset, and cannot be a service", ""),
    "another database": (
        plant(rest="state: mysql://h/db\n"), 6, "state: 'mysql' is not a database", "postgresql"),
    "a repeated key": (
        plant("tier: read\ntier: identify"), 7, "the key 'tier' is given twice", "line 6"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said", "hint"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_with_its_line_and_a_remedy(
    text: str, line: int, said: str, hint: str
) -> None:
    found = [each for each in errors(text) if said in each.message]

    assert [each.line for each in found] == [line]
    assert hint in found[0].hint


@pytest.mark.parametrize("text", [text for text, *_ in BAD.values()], ids=BAD.keys())
def test_one_mistake_is_one_error(text: str) -> None:
    """But for a broken login, whose missing key is a second one."""
    expected = 2 if "hostkey" in text else 1

    assert len(errors(text)) == expected


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = plant(
        "tier: identfy\nprobes: [modbuss]\nassets:\n  - {address: 10.5.0.1}\n  - {firmware: []}",
        "conduits: [{id: c, from: z, to: y, sl_t: 9}]\npolicy: {max_age: 1}\n",
        networks="[10.0.0.0/16]",
    )

    found = errors(text)

    assert [each.line for each in found] == [4, 6, 7, 9, 10, 10, 11, 11, 12]


def test_a_faulty_zone_causes_no_false_accusation_elsewhere() -> None:
    """Its id still exists for conduits, and its networks are not known to lack an address."""
    found = only_error(
        plant(
            "assets: [{address: 10.7.0.1}]",
            "  - {id: y, networks: [], sl_t: 1}\nconduits: [{id: c, from: z, to: y, sl_t: 1}]\n",
            networks="[10.0.0.0/24, ten]",
        )
    )

    assert "'ten' is not a network" in found.message


def test_the_message_of_all_problems_names_file_and_line_of_each() -> None:
    with pytest.raises(UsageError) as caught:
        site("site: 1\nzonez: []\n")

    assert "/plant/site.yaml:2: unknown key 'zonez'" in str(caught.value)
    assert "/plant/site.yaml:1: the key 'zones' is missing" in str(caught.value)


def test_a_flood_of_problems_is_cut_short() -> None:
    text = plant(rest="".join(f"k{each}: 1\n" for each in range(200)))

    with pytest.raises(SiteErrors) as caught:
        site(text)

    assert len(caught.value.errors) == 200
    assert "and 150 more problems" in str(caught.value)


def test_an_old_window_is_no_obstacle_to_a_report() -> None:
    text = plant(rest="windows: [{id: w, start: 2020-01-01T22:00, duration: 4h, timezone: UTC}]\n")

    assert site(text, now=None).windows[0].id == "w"


def test_a_start_with_an_offset_is_put_on_the_clock_of_its_time_zone() -> None:
    found = site(
        plant(rest="windows:\n"
                   "  - {id: a, start: 2026-12-01T21:00+00:00, duration: 4h, "
                   "timezone: Europe/Berlin}\n"
                   "  - {id: b, start: 2026-12-01T22:00+05:30, duration: 4h}\n")
    )  # fmt: skip

    assert found.windows[0].start == datetime.fromisoformat("2026-12-01T22:00")
    assert found.windows[1].timezone.utcoffset(None) == timedelta(hours=5, minutes=30)


SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    "text",
    [
        plant(f"assets: [{{name: a, login: {{platform: linux, user: u, secret: {SECRET}, "
              "host_key: SHA256:x}}]"),
        plant(f"assets: [{{name: a, login: {{platform: linux, user: u, secret: [{SECRET}], "
              f"host_key: {SECRET}}}}}]"),
        plant(f"assets: [{{name: a, login: {SECRET}}}]"),
        plant(f"assets: [{{name: a, login: {{password: {SECRET}}}}}]"),
        plant(rest=f"state: postgresql://u:{SECRET}@h/db\n"),
        plant(rest=f"state: postgresql://h/db?password={SECRET}\n"),
        plant(rest=f"state: postgresql://[{SECRET}\n"),
        plant(rest=f"snmp_public: {SECRET}\n"),
        plant(f"password: {SECRET}"),
        plant(f"assets: [{{name: a, login: {{secret: '{SECRET}"),
    ],
)  # fmt: skip
def test_a_secret_written_into_the_file_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(SiteErrors) as caught:
        site(text)

    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_damage_to_a_file_gives_a_site_or_a_clear_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(HARBOUR)))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text(st.sampled_from("{}[]:,-#'\"\n 0aA*&!~"), max_size=8))

    damaged = HARBOUR[:start] + put + HARBOUR[start + length :]

    found: Site | SiteErrors
    try:
        found = site(damaged)
    except SiteErrors as caught:
        found = caught
    assert isinstance(found, Site) or all(each.path for each in found.errors)


def test_a_file_with_many_networks_and_assets_is_compared_quickly() -> None:
    """Two thousand networks would take two million comparisons pair by pair."""
    zones = "".join(
        f"  - {{id: z{i}, networks: [10.{i // 250}.{i % 250}.0/28], sl_t: 1,\n"
        f"     assets: [{{address: 10.{i // 250}.{i % 250}.1}}]}}\n"
        for i in range(2000)
    )

    found = site(f"site: Large\nzones:\n{zones}")

    assert len(found.zones) == 2000
    assert found.settings("z1999", "10.7.249.1").asset is not None
