"""
Cisco IOS and IOS XE: what `show` commands print, read into facts.

Also the two functions that others need: `mask` takes every secret out of a configuration before
it is kept, `normalise` takes out what changes without anybody having changed anything, so that a
running configuration can be compared with its backup.
Sources: Cisco IOS Configuration Fundamentals Command Reference (show version, show users, line,
exec-timeout), Cisco IOS Security Command Reference (username, enable secret, aaa authentication
login, password types, aaa local authentication attempts max-fail, login block-for), Basic System
Management Command Reference (ntp server, show ntp status).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from scanner.facts import (
    Account,
    DeviceIdentity,
    DeviceSettings,
    Fact,
    OpenSession,
    RunningConfiguration,
)
from scanner.importers import Hide

LINES_MAX = 20_000
LINE_MAX = 2_000
MANY = 500
TEXT_MAX = 80
DEFAULT_EXEC_TIMEOUT_S = 600
"""exec-timeout where the configuration does not show it: 10 minutes, and defaults are not shown."""

STORAGE = {
    "0": "clear", "4": "sha256", "5": "md5", "6": "aes", "7": "type 7", "8": "pbkdf2-sha256",
    "9": "scrypt",
}  # fmt: skip
"""How a password of each type is kept. Types 6 and 7 can be turned back."""

_TYPE7_KEY = b"dsfd;kfoA,.iyewrkldJKDHSUBsgvca69834ncxv9873254k;fg87"

_VOLATILE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("command echo", re.compile(r"^\S{0,80}[>#] ?(?:show|sh|more) \S.{0,80}$")),
    ("building notice", re.compile(r"^Building configuration\b")),
    ("size", re.compile(r"^(?:Current|Using) configuration ?: \d+|^Using \d+ out of \d+ bytes")),
    ("last change", re.compile(r"^! (?:Last configuration change|NVRAM config last updated)\b")),
    ("no change", re.compile(r"^! No configuration change since last restart\b")),
    ("clock period", re.compile(r"^ntp clock-period \d+")),
    ("uptime", re.compile(r"^! ?(?:Uptime|\S+ uptime) is\b")),
    ("time of reading", re.compile(r"^(?:Load for five secs|Time source is)\b")),
    ("comment without text", re.compile(r"^!$")),
    ("empty", re.compile(r"^$")),
)
NORMALISE_RULES = ("trailing blanks", *(name for name, _ in _VOLATILE))


def normalise(text: str) -> tuple[bytes, tuple[str, ...]]:
    """
    The lines of a configuration that mean something, as bytes, and the names of the rules that
    drop the others (always all of them: they say how this hash came about).
    """
    kept = []
    for raw in text.splitlines():
        line = raw.rstrip()
        if not any(pattern.match(line[:LINE_MAX]) for _, pattern in _VOLATILE):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept).encode("utf-8"), NORMALISE_RULES


# --- secrets -----------------------------------------------------------------------------------

_SECRET_WORD = re.compile(
    r"(?i)(?:^|(?<=\s))[\w-]*(?:password|passwd|secret|key|psk|passphrase|key-string|md5|pin)"
    r"(?:\s+\d{1,2}(?=\s+\S))?\s+(?=\S)"
)
_TEXT_WORD = re.compile(r"(?i)\b(?:authentication text|authentication mode text)\s+(?=\S)")
_USER_AUTH = re.compile(r"(?i)^\s*snmp-server user\b.*?\s(?:auth|priv|encrypted)\s+(?=\S)")
_COMMUNITY = re.compile(r"(?i)^(\s*(?:no )?snmp-server community\s+)(\S+)")
_TRAP_HOST = re.compile(r"(?i)^(\s*(?:no )?snmp-server host\s+\S+\s+)(\S.*)$")
_TRAP_WORDS = frozenset(
    {"vrf", "version", "1", "2c", "3", "auth", "noauth", "priv", "traps", "informs", "trap"}
)


def mask(text: str, hide: Hide) -> str:
    """
    The same text with every secret replaced by `<secret:keyed hash>`.

    Cautious: behind a word that ends in password, secret, key, psk, passphrase, md5 or pin the
    rest of the line goes, whatever it is.
    """
    return "\n".join(_masked(line, hide) for line in text.split("\n"))


def _masked(line: str, hide: Hide) -> str:
    if found := _COMMUNITY.match(line):
        return f"{found[1]}{_token(found[2], hide)}{line[found.end() :]}"
    if found := _TRAP_HOST.match(line):
        return found[1] + _masked_trap(found[2], hide)
    ends = [
        match.end() for p in (_SECRET_WORD, _TEXT_WORD, _USER_AUTH) if (match := p.search(line))
    ]
    if not ends:
        return line
    at = min(ends)
    return line[:at] + _token(line[at:].rstrip(), hide)


def _masked_trap(words: str, hide: Hide) -> str:
    """After the address of a trap receiver: the first word that is no keyword is the community."""
    parts = words.split()
    skip = False
    for i, word in enumerate(parts):
        if skip or word.lower() in _TRAP_WORDS:
            skip = word.lower() == "vrf" and not skip
            continue
        parts[i] = _token(word, hide)
        break
    return " ".join(parts)


def _token(secret: str, hide: Hide) -> str:
    return f"<secret:{hide(secret)}>"


def decode_type7(text: str) -> str | None:
    """
    The clear text of a type 7 password; None when it is none. Not a secret of ours: the encoding
    is public and made against looking over a shoulder. Needed so that reuse is seen.
    """
    if len(text) < 4 or len(text) % 2 or not re.fullmatch(r"\d\d[0-9A-Fa-f]+", text):
        return None
    offset = int(text[:2])
    data = bytes.fromhex(text[2:])
    size = len(_TYPE7_KEY)
    clear = bytes(byte ^ _TYPE7_KEY[(offset + i) % size] for i, byte in enumerate(data))
    return clear.decode("ascii") if clear.isascii() else None


def _stored(kind: str | None, value: str, hide: Hide) -> tuple[str, str]:
    """(fingerprint, storage) of a secret. What can be turned back is compared by its clear text."""
    storage = STORAGE.get(kind or "0", f"type {kind}")
    clear = decode_type7(value) if kind == "7" else None
    return hide(clear if clear is not None else value), storage


# --- running-config ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    """A `line` section: console, aux or vty."""

    name: str
    timeout_s: int = DEFAULT_EXEC_TIMEOUT_S
    transport: frozenset[str] | None = None
    login: str | None = None
    method_list: str = "default"


@dataclass(slots=True)
class _Config:
    """What was picked up on the way through a running configuration."""

    accounts: dict[str, Account] = field(default_factory=dict)
    lines: list[_Line] = field(default_factory=list)
    time_servers: list[str] = field(default_factory=list)
    log_targets: list[str] = field(default_factory=list)
    communities: list[str] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    methods: dict[str, list[str]] = field(default_factory=dict)
    sntp: bool = False
    aaa: bool = False
    banner: bool = False
    http: bool | None = None
    encryption: bool | None = None
    lockout_after: int | None = None
    whole: bool = False


def read_configuration(
    text: str, hide: Hide, *, platform: str, ntp_status: str | None = None
) -> tuple[Fact, ...]:
    """
    Accounts, settings and the hash of a running configuration.

    `ntp_status` is the output of `show ntp status`, None when it was not read. A text that is no
    configuration (an error, or a prompt without the right to see it) gives no facts. A
    configuration without its last line `end` was cut off: what it lacks stays unknown then.
    """
    lines = [line[:LINE_MAX].rstrip() for line in text.splitlines()[:LINES_MAX]]
    if not any(line.startswith(("version ", "hostname ")) for line in lines):
        return ()
    config = _Config()
    config.whole = next((line for line in reversed(lines) if line), "") == "end"
    for section, line in _sections(lines):
        _read_line(config, section, line, hide)
    kept, rules = normalise(text)
    return (
        *config.accounts.values(),
        _settings(config, hide, platform, ntp_status),
        RunningConfiguration(
            platform=platform,
            sha256=hashlib.sha256(kept).hexdigest(),
            lines=kept.count(b"\n"),
            drop_rules=rules,
        ),
    )


def _sections(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(the section's own line, the line); texts of banners are left out."""
    section = ""
    until: str | None = None
    for line in lines:
        if until is not None:
            if until in line:
                until = None
            continue
        if not line.startswith(" "):
            section = line
        yield section, line.strip()
        if banner := re.match(r"banner \S+ (\^C|\S)(.*)$", line):
            until = banner[1] if banner[1] not in banner[2] else None


def _read_line(config: _Config, section: str, line: str, hide: Hide) -> None:
    words = line.split()
    if not words:
        return
    if section.startswith("line ") and config.lines and line != section:
        _read_vty(config.lines[-1], words)
        return
    if line.startswith("server ") and (group := re.match(r"aaa group server (\S+) ", section)):
        config.groups[section.split()[-1]] = group[1]
        return
    match words:
        case ["line", *rest] if line == section:
            config.lines.append(_Line(name=" ".join(rest)[:TEXT_MAX]))
        case ["username", name, *rest]:
            _read_account(config, name, rest, hide)
        case ["enable", "secret" | "password", *rest]:
            _read_account(config, "enable", ["privilege", "15", *words[1:2], *rest], hide)
        case ["aaa", "new-model"]:
            config.aaa = True
        case ["aaa", "authentication", "login", name, *methods] if len(config.methods) < MANY:
            config.methods[name] = methods
        case ["aaa", "local", "authentication", "attempts", "max-fail", number, *_]:
            _lockout(config, number)
        case ["login", "block-for", _, "attempts", number, *_]:
            _lockout(config, number)
        case ["aaa", "group", "server", kind, name, *_]:
            config.groups[name] = kind
        case ["ntp", "server" | "peer", *rest]:
            _add(config.time_servers, _address(rest))
        case ["sntp", "server", *rest]:
            config.sntp = True
            _add(config.time_servers, _address(rest))
        case ["logging", "host", *rest]:
            _add(config.log_targets, _address(rest))
        case ["logging", address] if re.fullmatch(r"[0-9.]{7,15}|[0-9A-Fa-f:]{3,39}", address):
            _add(config.log_targets, address)
        case ["snmp-server", "community", community, *_]:
            _add(config.communities, community)
        case ["banner", "login" | "motd" | "exec", *_]:
            config.banner = True
        case ["ip", "http", "server"]:
            config.http = True
        case ["no", "ip", "http", "server"]:
            config.http = False
        case ["service", "password-encryption"]:
            config.encryption = True
        case ["no", "service", "password-encryption"]:
            config.encryption = False
        case _:
            pass


def _add(values: list[str], value: str | None) -> None:
    if value and value not in values and len(values) < MANY:
        values.append(value[:TEXT_MAX])


def _lockout(config: _Config, number: str) -> None:
    if re.fullmatch(r"[0-9]{1,6}", number) and int(number):
        config.lockout_after = min(int(number), config.lockout_after or int(number))


def _address(words: list[str]) -> str | None:
    """The address or name in the arguments of ntp server and logging host."""
    if words[:1] == ["vrf"]:
        words = words[2:]
    return next((word for word in words if word not in ("ip", "ipv6")), None)


def _read_vty(line: _Line, words: list[str]) -> None:
    match words:
        case ["exec-timeout", minutes, *rest] if minutes.isdecimal() and len(minutes) < 8:
            seconds = rest[0] if rest and rest[0].isdecimal() and len(rest[0]) < 8 else "0"
            line.timeout_s = 60 * int(minutes) + int(seconds)
        case ["no", "exec-timeout"]:
            line.timeout_s = 0
        case ["transport", "input", *protocols]:
            line.transport = frozenset(protocols)
        case ["login", "authentication", name]:
            line.login, line.method_list = "aaa", name
        case ["login", *how]:
            line.login = how[0] if how else "line"
        case ["no", "login"]:
            line.login = "none"
        case _:
            pass


def _read_account(config: _Config, name: str, words: list[str], hide: Hide) -> None:
    """One `username` (or `enable`) line; several lines of one account add up."""
    old = config.accounts.get(name)
    if old is None and len(config.accounts) >= MANY:
        return
    role = old.role if old else "privilege 1"
    fingerprint = old.secret_fingerprint if old else None
    storage = old.secret_storage if old else None
    enabled = old.enabled if old else None
    if words[:1] == ["privilege"] and len(words) > 1:
        role = f"privilege {words[1][:2]}"
    for i, word in enumerate(words):
        if word in ("secret", "password") and i + 1 < len(words):
            rest = words[i + 1 :]
            typed = len(rest) > 1 and rest[0].isdecimal()
            secret = " ".join(rest[1:] if typed else rest)
            fingerprint, storage = _stored(rest[0][:2] if typed else None, secret, hide)
            enabled = True
            break
        if word == "nopassword":
            storage, enabled = "none", True
    config.accounts[name] = Account(
        name=name[:TEXT_MAX],
        role=role,
        privileged=role == "privilege 15",
        enabled=enabled,
        secret_fingerprint=fingerprint,
        secret_storage=storage,
    )


def _settings(config: _Config, hide: Hide, platform: str, ntp_status: str | None) -> DeviceSettings:
    whole = config.whole
    authentication = _authentication(config)
    multi_factor, note = _multi_factor(authentication)
    return DeviceSettings(
        platform=platform,
        session_timeout_s=_timeout(config),
        login_banner=True if config.banner else (False if whole else None),
        time_servers=_seen(config.time_servers, whole),
        time_synchronised=None if config.sntp else read_ntp_status(ntp_status),
        log_targets=_seen(config.log_targets, whole),
        authentication=authentication,
        multi_factor=multi_factor,
        multi_factor_note=note,
        telnet_enabled=_telnet(config),
        http_enabled=config.http,
        snmp_communities=len(config.communities) if whole or config.communities else None,
        community_fingerprints=tuple(hide(community) for community in config.communities),
        password_encryption=config.encryption,
        lockout_after=config.lockout_after,
    )


def _seen(values: list[str], whole: bool) -> tuple[str, ...] | None:
    return tuple(values) if values or whole else None


def _timeout(config: _Config) -> int | None:
    """The worst of all lines: 0 (never) if there is one, else the longest."""
    times = [line.timeout_s for line in config.lines]
    if not times or not config.whole:
        return 0 if 0 in times else None
    return 0 if 0 in times else max(times)


def _remote(config: _Config) -> list[_Line]:
    return [line for line in config.lines if line.name.startswith("vty")]


def _telnet(config: _Config) -> bool | None:
    """What an absent `transport input` means differs between releases, so it stays unknown."""
    lines = _remote(config)
    known = [line.transport for line in lines if line.transport is not None]
    if any(transport & {"telnet", "all"} for transport in known):
        return True
    return False if lines and len(known) == len(lines) and config.whole else None


def _authentication(config: _Config) -> tuple[str, ...] | None:
    remote = _remote(config)
    if config.aaa:
        lists = {line.method_list for line in remote}
        if len(lists) != 1 or not lists <= config.methods.keys():
            return None
        return tuple(_methods(config, lists.pop()))
    ways = {line.login for line in remote}
    if not config.whole or len(ways) != 1 or None in ways:
        return None
    return tuple(way for way in ways if way is not None)


def _methods(config: _Config, method_list: str) -> Iterator[str]:
    words = iter(config.methods[method_list][:16])
    for word in words:
        if word == "group":
            name = next(words, "")
            yield config.groups.get(name, name)[:TEXT_MAX]
        else:
            yield "local" if word == "local-case" else word[:TEXT_MAX]


def _multi_factor(authentication: tuple[str, ...] | None) -> tuple[bool | None, str | None]:
    if authentication is None:
        return None, None
    servers = [way for way in authentication if way not in ("local", "line", "enable", "none")]
    if servers:
        return None, f"{' and '.join(servers)} may demand a second factor: ask there"[:200]
    return False, None


# --- other commands ----------------------------------------------------------------------------

_SWITCH = re.compile(r"(?:WS-C|IE-?\d|ESS-|CGS-|C9[2-6]\d\d|C1[03]\d\d|1783-)")


def read_version(text: str) -> DeviceIdentity | None:
    """`show version`; None when the text is none."""
    text = text[:20_000]
    firmware = _first(
        text,
        r"IOS(?:-XE| XE)? Software\b[^\n]{0,120}?\bVersion ([^\s,]{1,40})",
        r"\bCisco IOS\b[^\n]{0,120}?\bVersion ([^\s,]{1,40})",
    )
    if firmware is None:
        return None
    model = _first(
        text,
        r"(?m)^Model [Nn]umber\s{0,40}: ?(\S{1,40})",
        r"(?mi)^cisco (\S{2,40}) \([^)\n]{1,40}\) (?:\([^)\n]{1,40}\) )?processor",
    )
    return DeviceIdentity(
        vendor="Rockwell Automation" if (model or "").startswith("1783-") else "Cisco",
        model=model,
        hardware=_first(
            text, r"(?m)^(?:Version ID|Hardware Board Revision Number)\s{0,40}: ?(\S{1,40})"
        ),
        firmware=firmware,
        serial=_first(
            text,
            r"(?m)^System [Ss]erial [Nn]umber\s{0,40}: ?(\S{1,40})",
            r"(?m)^Processor board ID (\S{1,40})",
        ),
        name=_first(text, r"(?m)^(\S{1,64}) uptime is "),
        device_class="switch" if model and _SWITCH.match(model) else None,
    )


def _first(text: str, *patterns: str) -> str | None:
    for pattern in patterns:
        if found := re.search(pattern, text):
            return found[1]
    return None


def read_users(text: str) -> tuple[OpenSession, ...]:
    """
    `show users`: a row is an optional `*`, line number, line type and number, user (may be
    missing), host(s), idle, location.
    """
    sessions = []
    for raw in text.splitlines()[:MANY]:
        row = raw[:LINE_MAX]
        found = re.match(r"[* ]{0,4}\s{0,8}\d{1,4} ((?:con|vty|aux|tty)\s{1,4}\d{1,4})(.*)$", row)
        if not found:
            continue
        parts = re.split(r"\s{2,}", found[2].strip())
        if len(parts) < 2 or re.fullmatch(r"idle|[\d.:]+", parts[0]):
            continue
        tail = found[2].split()
        origin = tail[-1] if re.fullmatch(r"[0-9.]{7,15}|[0-9A-Fa-f:]{3,39}", tail[-1]) else None
        if origin and re.fullmatch(r"\d{1,3}(?::\d\d){1,2}", origin):
            origin = None
        sessions.append(
            OpenSession(account=parts[0][:TEXT_MAX], origin=origin, line=" ".join(found[1].split()))
        )
    return tuple(sessions)


def read_ntp_status(text: str | None) -> bool | None:
    """`show ntp status`: True synchronised, False not (or NTP not enabled), None not told."""
    if text is None:
        return None
    if re.search(r"(?i)\bclock is synchronized\b", text):
        return True
    if re.search(r"(?i)\bclock is unsynchronized\b|%\s?NTP is not enabled", text):
        return False
    return None
