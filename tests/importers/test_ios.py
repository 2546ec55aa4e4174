"""IOS texts: what is read, what is never claimed, what is masked, what a backup is compared by."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.facts import Account, DeviceIdentity, DeviceSettings, OpenSession, RunningConfiguration
from scanner.importers.ios import (
    NORMALISE_RULES,
    decode_type7,
    mask,
    normalise,
    read_configuration,
    read_ntp_status,
    read_users,
    read_version,
)

CONFIG = """\
Building configuration...

Current configuration : 1893 bytes
!
! Last configuration change at 08:12:44 CET Mon Nov 2 2026 by mkessler
!
version 15.2
service password-encryption
!
hostname SW-1
!
enable secret 5 $1$mERr$hx5rVt7rPNoS4wqbXKX7m0
aaa new-model
aaa group server tacacs+ PLANT
 server name t1
aaa authentication login default group PLANT local
!
username audit privilege 15 secret 9 $9$nQ3m1kzTq0sWzL$7Zr8kz2bJ0wD1v9mXr5c
username shift password 7 02050D480809
username guest nopassword
!
ip http server
!
logging host 192.0.2.13
logging 192.0.2.14
snmp-server community plantro RO 10
snmp-server community plantrw RW
snmp-server host 192.0.2.15 version 2c trapword
tacacs server t1
 key 7 0822455D0A16
banner login ^C
username fake privilege 15 password 0 not-an-account
line vty 0 99
^C
!
line con 0
 exec-timeout 5 0
line vty 0 4
 exec-timeout 15 30
 transport input ssh
!
ntp clock-period 36028797
ntp server vrf mgmt 192.0.2.1 prefer
ntp server ip 192.0.2.2
!
end
"""


def hide(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()[:16]


def read(text: str, ntp: str | None = None):  # type: ignore[no-untyped-def]
    facts = read_configuration(text, hide, platform="cisco_ios", ntp_status=ntp)
    accounts = {fact.name: fact for fact in facts if isinstance(fact, Account)}
    settings = next((fact for fact in facts if isinstance(fact, DeviceSettings)), None)
    running = next((fact for fact in facts if isinstance(fact, RunningConfiguration)), None)
    return accounts, settings, running


# --- totality ----------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["version 15", "hostname x", "username", "a", "privilege", "15", "secret", "password", "7",
     "0", "line vty 0 4", " exec-timeout", "99999999999", "-1", "ntp server", "vrf", "logging",
     "host", "snmp-server community", "banner login ^C", "aaa authentication login default",
     "group", "end", "\n", "\n ", "\x00", "²", "٣"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=60).map(" ".join)))
def test_no_text_raises(text: str) -> None:
    read_configuration("hostname x\n" + text, hide, platform="cisco_ios", ntp_status=text)
    read_version(text)
    read_users(text)
    normalise(text)
    mask(text, hide)
    decode_type7(text)


# --- configuration -----------------------------------------------------------------------------


def test_accounts_come_with_role_storage_and_keyed_hash() -> None:
    accounts, _, _ = read(CONFIG)

    assert set(accounts) == {"enable", "audit", "shift", "guest"}
    assert accounts["audit"] == Account(
        name="audit",
        role="privilege 15",
        privileged=True,
        enabled=True,
        secret_fingerprint=hide("$9$nQ3m1kzTq0sWzL$7Zr8kz2bJ0wD1v9mXr5c"),
        secret_storage="scrypt",
    )
    assert accounts["enable"].secret_storage == "md5"
    assert accounts["guest"].secret_storage == "none"
    assert accounts["guest"].enabled is True


def test_a_reversible_password_is_compared_by_its_clear_text() -> None:
    accounts, _, _ = read(CONFIG)
    clear, _, _ = read("hostname x\nusername shift password 0 cisco\nend\n")

    assert decode_type7("02050D480809") == "cisco"
    assert decode_type7("13061E010803") == "cisco"
    assert accounts["shift"].secret_storage == "type 7"
    assert clear["shift"].secret_storage == "clear"
    assert accounts["shift"].secret_fingerprint == clear["shift"].secret_fingerprint


def test_settings_are_read() -> None:
    _, settings, _ = read(CONFIG, "Clock is synchronized, stratum 3, reference is 192.0.2.1")

    assert settings == DeviceSettings(
        platform="cisco_ios",
        session_timeout_s=930,
        login_banner=True,
        time_servers=("192.0.2.1", "192.0.2.2"),
        time_synchronised=True,
        log_targets=("192.0.2.13", "192.0.2.14"),
        authentication=("tacacs+", "local"),
        multi_factor=None,
        multi_factor_note="tacacs+ may demand a second factor: ask there",
        telnet_enabled=False,
        http_enabled=True,
        snmp_communities=2,
        community_fingerprints=(hide("plantro"), hide("plantrw")),
        password_encryption=True,
    )


def test_text_of_a_banner_is_not_configuration() -> None:
    accounts, settings, _ = read(CONFIG)

    assert "fake" not in accounts
    assert settings.session_timeout_s == 930


def test_what_a_whole_configuration_lacks_is_not_there() -> None:
    _, settings, _ = read("version 15.2\nline vty 0 4\n login local\nend\n")

    assert settings.time_servers == ()
    assert settings.log_targets == ()
    assert settings.login_banner is False
    assert settings.snmp_communities == 0
    assert settings.session_timeout_s == 600  # the default, which IOS does not show
    assert settings.authentication == ("local",)
    assert settings.multi_factor is False
    assert settings.telnet_enabled is None
    assert settings.http_enabled is None
    assert settings.time_synchronised is None


def test_what_a_cut_configuration_lacks_is_unknown() -> None:
    _, settings, running = read("version 15.2\nline vty 0 4\n login local\n transport input ssh\n")

    assert settings.time_servers is None
    assert settings.log_targets is None
    assert settings.login_banner is None
    assert settings.snmp_communities is None
    assert settings.session_timeout_s is None
    assert settings.authentication is None
    assert settings.telnet_enabled is None
    assert running is not None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("line con 0\n exec-timeout 0 0\nline vty 0 4\n exec-timeout 5 0\n", 0),
        ("line con 0\n no exec-timeout\n", 0),
        ("line vty 0 4\n exec-timeout 10\nline vty 5 15\n exec-timeout 20 5\n", 1205),
        ("", None),
    ],
)
def test_the_worst_line_is_the_session_time_out(lines: str, expected: int | None) -> None:
    _, settings, _ = read(f"version 15.2\n{lines}end\n")

    assert settings.session_timeout_s == expected


@pytest.mark.parametrize(
    ("transport", "expected"),
    [("telnet ssh", True), ("all", True), ("ssh", False), ("none", False)],
)
def test_telnet_is_what_transport_input_says(transport: str, expected: bool) -> None:
    _, settings, _ = read(f"version 15.2\nline vty 0 4\n transport input {transport}\nend\n")

    assert settings.telnet_enabled is expected


def test_a_named_method_list_on_the_lines_is_the_one_that_counts() -> None:
    text = (
        "version 15.2\naaa new-model\naaa authentication login default local\n"
        "aaa authentication login REMOTE group radius\n"
        "line vty 0 4\n login authentication REMOTE\nend\n"
    )
    _, settings, _ = read(text)

    assert settings.authentication == ("radius",)
    assert settings.multi_factor is None


@pytest.mark.parametrize(
    "text", ["", "% Invalid input detected at '^' marker.", "Username: \nPassword: "]
)
def test_a_text_that_is_no_configuration_gives_no_facts(text: str) -> None:
    assert read_configuration(text, hide, platform="cisco_ios") == ()


# --- comparison with a backup ------------------------------------------------------------------


def test_what_changes_by_itself_does_not_change_the_hash() -> None:
    later = (
        CONFIG.replace("1893", "1894")
        .replace("08:12:44 CET Mon Nov 2 2026 by mkessler", "09:00:00 CET Tue Nov 3 2026 by x")
        .replace("36028797", "36028800")
        .replace("\n", "  \r\n")
        .replace("Building configuration...", "SW-1#show running-config\r\nBuilding config…")
    )

    assert normalise(CONFIG)[0] != b""
    assert normalise(later.replace("Building config…", ""))[0] == normalise(CONFIG)[0]
    assert normalise(CONFIG)[1] == NORMALISE_RULES


@pytest.mark.parametrize(
    ("old", "new"),
    [("192.0.2.13", "192.0.2.99"), ("exec-timeout 5 0", "exec-timeout 0 0"), ("plantro", "public")],
)
def test_a_real_change_changes_the_hash(old: str, new: str) -> None:
    assert normalise(CONFIG)[0] != normalise(CONFIG.replace(old, new))[0]


def test_the_running_configuration_names_its_hash_and_rules() -> None:
    _, _, running = read(CONFIG)

    kept, rules = normalise(CONFIG)
    assert running.sha256 == hashlib.sha256(kept).hexdigest()
    assert running.drop_rules == rules
    assert running.lines == kept.count(b"\n")


# --- masking -----------------------------------------------------------------------------------

SECRET_LINES = [
    "enable secret 9 {}",
    "enable password {}",
    "username x privilege 15 secret 9 {}",
    "username x password 0 {}",
    "username x password 7 {}",
    "snmp-server community {} RO",
    "snmp-server community {}",
    "snmp-server host 192.0.2.15 version 2c {}",
    "snmp-server host 192.0.2.15 {}",
    "snmp-server host 192.0.2.15 vrf mgmt informs version 2c {} snmp",
    "snmp-server user u g v3 auth sha {} priv aes 128 {}",
    "tacacs-server host 192.0.2.9 key 7 {}",
    "tacacs-server key {}",
    " key 7 {}",
    " key-string {}",
    "radius-server host 192.0.2.9 auth-port 1812 key {}",
    " server-key 7 {}",
    "crypto isakmp key {} address 192.0.2.1",
    " pre-shared-key local {}",
    " ip ospf message-digest-key 1 md5 7 {}",
    " ip ospf authentication-key {}",
    "ntp authentication-key 1 md5 {} 7",
    " neighbor 192.0.2.3 password 7 {}",
    " ppp chap password 0 {}",
    " standby 1 authentication text {}",
    " wpa-psk ascii 0 {}",
    "ip ftp password {}",
    " password 7 {}",
    " password {}",
]


@pytest.mark.parametrize("line", SECRET_LINES)
@given(secret=st.text(st.sampled_from("abcXYZ019$/.-_+!"), min_size=6, max_size=20))
def test_no_secret_survives_masking(line: str, secret: str) -> None:
    secret = "Q" + secret
    masked = mask(line.replace("{}", secret), hide)

    assert secret not in masked
    assert "<secret:" in masked


def test_a_clear_password_with_blanks_is_masked_as_a_whole() -> None:
    assert mask("username x password 0 two words", hide) == (
        f"username x password 0 <secret:{hide('two words')}>"
    )


@pytest.mark.parametrize(
    "line",
    [
        "service password-encryption",
        "hostname SW-1",
        "snmp-server host 192.0.2.15 version 3 auth",
        "line vty 0 4",
        " exec-timeout 10 0",
        "ip http secure-server",
    ],
)
def test_lines_without_a_secret_are_kept(line: str) -> None:
    assert mask(line, hide) == line


def test_no_secret_of_a_whole_configuration_survives() -> None:
    masked = mask(CONFIG, hide)

    for secret in (
        "$9$nQ3m", "02050D480809", "plantro", "plantrw", "trapword", "0822455D0A16", "$1$mERr",
    ):  # fmt: skip
        assert secret not in masked
    assert masked.count("\n") == CONFIG.count("\n")


def test_facts_carry_no_secret() -> None:
    facts = repr(read_configuration(CONFIG, hide, platform="cisco_ios"))

    for secret in ("$9$nQ3m", "02050D480809", "plantro", "plantrw", "trapword", "$1$mERr"):
        assert secret not in facts


# --- show commands -----------------------------------------------------------------------------

VERSION = """\
Cisco IOS Software, IE2000 Software (IE2000-UNIVERSALK9-M), Version 15.2(7)E2, RELEASE SOFTWARE
Technical Support: http://www.cisco.com/techsupport

SW-1 uptime is 31 weeks, 4 days, 2 hours, 11 minutes
cisco IE-2000-8TC-G-E (PowerPC405) processor (revision J0) with 131072K bytes of memory.
Processor board ID FDO1833V0AB
Model number                    : IE-2000-8TC-G-E
System serial number            : FDO1833V0AB
Version ID                      : V02
"""


def test_show_version_names_the_device() -> None:
    assert read_version(VERSION) == DeviceIdentity(
        vendor="Cisco",
        model="IE-2000-8TC-G-E",
        hardware="V02",
        firmware="15.2(7)E2",
        serial="FDO1833V0AB",
        name="SW-1",
        device_class="switch",
    )


def test_a_stratix_is_a_rockwell_switch() -> None:
    identity = read_version(VERSION.replace("IE-2000-8TC-G-E", "1783-BMS10CGL"))

    assert identity is not None
    assert (identity.vendor, identity.model) == ("Rockwell Automation", "1783-BMS10CGL")


def test_a_router_without_model_lines_is_named_by_its_processor_line() -> None:
    text = (
        "Cisco IOS XE Software, Version 16.09.03\n"
        "r1 uptime is 1 week\ncisco ISR4331/K9 (1RU) processor with 1795999K bytes\n"
        "Processor board ID FLM1234W0XY\n"
    )

    assert read_version(text) == DeviceIdentity(
        vendor="Cisco",
        model="ISR4331/K9",
        firmware="16.09.03",
        serial="FLM1234W0XY",
        name="r1",
    )


def test_another_text_is_no_version() -> None:
    assert read_version("% Invalid input") is None


def test_open_sessions_are_read_with_origin_and_line() -> None:
    text = (
        "    Line       User       Host(s)              Idle       Location\n"
        "   0 con 0     admin      idle                 3d04h\n"
        "*  1 vty 0     audit      idle                 00:00:00 192.0.2.7\n"
        "   2 vty 1                idle                 00:00:04 192.0.2.8\n"
        "\n"
        "  Interface    User               Mode         Idle     Peer Address\n"
    )

    assert read_users(text) == (
        OpenSession(account="admin", line="con 0"),
        OpenSession(account="audit", origin="192.0.2.7", line="vty 0"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Clock is synchronized, stratum 2, reference is 192.0.2.1", True),
        ("Clock is unsynchronized, stratum 16, no reference clock", False),
        ("%NTP is not enabled.", False),
        ("% Invalid input", None),
        (None, None),
    ],
)
def test_the_clock_s_state_is_what_ntp_says(text: str | None, expected: bool | None) -> None:
    assert read_ntp_status(text) is expected


@pytest.mark.parametrize(
    ("line", "threshold"),
    [
        ("aaa local authentication attempts max-fail 3", 3),
        ("login block-for 120 attempts 5 within 60", 5),
        (
            "login block-for 9 attempts 5 within 60\naaa local authentication attempts max-fail 9",
            5,
        ),
        ("login block-for 120 attempts 0 within 60", None),
        ("aaa local authentication attempts max-fail many", None),
        ("login on-failure log", None),
    ],
)
def test_failures_that_lock_an_account_are_read(line: str, threshold: int | None) -> None:
    text = f"version 15.2\nhostname x\n{line}\nend\n"

    facts = read_configuration(text, hide, platform="cisco_ios")

    (settings,) = [fact for fact in facts if isinstance(fact, DeviceSettings)]
    assert settings.lockout_after == threshold
