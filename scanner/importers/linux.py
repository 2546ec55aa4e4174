"""
Linux: what a fixed set of read-only commands prints, read into facts.

`outputs` maps a command to what it printed; a file that is not there maps to ABSENT; a command
that was not run, failed or was cut off is missing, and what only it would have told stays None.
Sources: passwd(5), group(5), os-release(5), sshd_config(5), sshd(8) "AUTHORIZED_KEYS FILE FORMAT",
pam.d(5), timesyncd.conf(5), chrony.conf(5), rsyslog.conf(5), bash(1) TMOUT, ss(8), who(1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from scanner.facts import Account, DeviceIdentity, DeviceSettings, Fact, OpenSession
from scanner.importers import Hide

ABSENT = "\0absent"
"""In place of an output: the file is not there."""

LINES_MAX = 5_000
LINE_MAX = 2_000
KEY_LINE_MAX = 16_000
MANY = 500
TEXT_MAX = 80
PLATFORM = "linux"

NO_LOGIN = frozenset({"nologin", "false", "sync", "shutdown", "halt"})
PRIVILEGED_GROUPS = frozenset({"root", "sudo", "wheel", "admin"})

OTP_MODULES = ("pam_google_authenticator", "pam_oath", "pam_duo", "pam_u2f", "pam_yubico")
SERVER_MODULES = {
    "pam_radius_auth": "radius",
    "pam_tacplus": "tacacs+",
    "pam_ldap": "ldap",
    "pam_sss": "ldap",
}
_SECRET = re.compile(
    r"""(?ix)
    ( (?:^|[^A-Za-z0-9]) [\w.-]{0,40} (?:password|passwd|passphrase|secret|token|api_?key|pwd)
      ["']? \s{0,8} (?:=>|[=:]|\s) \s{0,8} )
    ( "[^"\n]{0,200}" | '[^'\n]{0,200}' | [^\s"',;]+ )
    """
)
_HASH = re.compile(r"\$[0-9a-z]{1,8}\$[^:\s]{4,}")
_OLD_HASH = re.compile(r"(?m)^([^:\s]{1,64}:)([^:\s<$]{4,})(?=:\d+:\d+:)")
_DATABASE = re.compile(r"(:om[a-z]{2,12}:[^,\s]{0,80},[^,\s]{0,80},[^,\s]{0,80},)([^;\s]+)")


def mask(text: str, hide: Hide) -> str:
    """
    The same text with secrets replaced by `<secret:keyed hash>`: password hashes, values of
    settings named like a password, and the passwords of database outputs of rsyslog.
    """

    def hidden(match: re.Match[str]) -> str:
        return f"{match[1]}<secret:{hide(match[2])}>"

    text = _HASH.sub(lambda match: f"<secret:{hide(match[0])}>", text)
    return _SECRET.sub(hidden, _DATABASE.sub(hidden, _OLD_HASH.sub(hidden, text)))


def read_host(outputs: Mapping[str, str], *, user: str, hide: Hide) -> tuple[Fact, ...]:
    """
    Identity, accounts, sessions and settings, as far as the outputs tell. `user` is the account
    with which they were read: its authorized_keys are the ones that were seen.
    """
    if not outputs:
        return ()
    keys = read_authorized_keys(_text(outputs, "cat .ssh/authorized_keys") or "")
    identity = read_identity(_text(outputs, "uname -a"), _text(outputs, "cat /etc/os-release"))
    return (
        *((identity,) if identity else ()),
        *read_accounts(
            _text(outputs, "getent passwd"), _text(outputs, "getent group"), {user: keys}, hide
        ),
        *read_sessions(_text(outputs, "who")),
        read_settings(outputs),
    )


def _text(outputs: Mapping[str, str], command: str) -> str | None:
    text = outputs.get(command)
    return None if text is None or text == ABSENT else text


def _lines(text: str) -> list[str]:
    return [line[:LINE_MAX].rstrip() for line in text.splitlines()[:LINES_MAX]]


def _settings_lines(text: str, comments: str = "#") -> list[str]:
    """Lines that are neither empty nor comments, stripped."""
    stripped = (line.strip() for line in _lines(text))
    return [line for line in stripped if line and line[0] not in comments]


# --- who and what ------------------------------------------------------------------------------


def read_identity(uname: str | None, os_release: str | None) -> DeviceIdentity | None:
    """
    Name of the node and, as firmware, the operating system as it calls itself. Who made the
    machine neither of them tells.
    """
    words = (uname or "").split()
    name = words[1][:TEXT_MAX] if len(words) > 2 and words[0] == "Linux" else None
    system = None
    if os_release is not None:
        values = read_assignments(os_release)
        system = values.get("PRETTY_NAME") or values.get("NAME")
    if name is None and not system:
        return None
    return DeviceIdentity(name=name, firmware=system[:TEXT_MAX] if system else None)


def read_assignments(text: str) -> dict[str, str]:
    """KEY=value lines with shell quoting (os-release(5))."""
    found: dict[str, str] = {}
    for line in _settings_lines(text):
        key, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            continue
        try:
            found[key] = "".join(shlex.split(value)[:1]) if value[:1] in "\"'" else value
        except ValueError:
            continue  # an unfinished quote: not a value
    return found


def read_accounts(
    passwd: str | None, group: str | None, keys: Mapping[str, tuple[str, ...]], hide: Hide
) -> tuple[Account, ...]:
    """
    The accounts of passwd(5): name:password:uid:gid:comment:home:shell.

    `enabled` is what this database tells: a shell that ends a session at once (nologin) or a
    locked password field is False, a login shell True. An ageing or a lock in shadow(5), which
    is not readable, may still keep such an account out. Of several lines with one name the first
    counts, as getpwnam(3) has it.
    """
    members = _members(group)
    found: dict[str, Account] = {}
    for line in _lines(passwd or ""):
        parts = line.split(":")
        if len(parts) != 7 or not parts[0] or not parts[2].isdecimal() or len(found) >= MANY:
            continue
        if parts[0] in found:
            continue
        name, field_, uid, gid, shell = parts[0], parts[1], parts[2], parts[3], parts[6]
        groups = members.get(name, set()) | members.get(f"gid {gid}", set())
        privileged = uid.lstrip("0") == "" or bool(groups & PRIVILEGED_GROUPS)
        storage = _storage(field_)
        found[name] = Account(
            name=name[:TEXT_MAX],
            role="root" if uid.lstrip("0") == "" else ", ".join(sorted(groups)[:4]) or None,
            privileged=privileged if privileged or group is not None else None,
            enabled=not field_.startswith(("!", "*")) and shell.rpartition("/")[2] not in NO_LOGIN,
            secret_fingerprint=hide(field_) if storage not in (None, "none") else None,
            secret_storage=storage,
            key_fingerprints=keys.get(name, ()),
        )
    return tuple(found.values())


def _members(group: str | None) -> dict[str, set[str]]:
    """Group names by member, and by "gid N" for those whose primary group it is."""
    members: dict[str, set[str]] = {}
    for line in _lines(group or ""):
        parts = line.split(":")
        if len(parts) != 4:
            continue
        members.setdefault(f"gid {parts[2]}", set()).add(parts[0][:TEXT_MAX])
        for name in parts[3].split(",")[:MANY]:
            members.setdefault(name, set()).add(parts[0][:TEXT_MAX])
    return members


def _storage(password_field: str) -> str | None:
    kinds = {"1": "md5", "5": "sha256", "6": "sha512", "y": "yescrypt", "2b": "bcrypt"}
    if password_field == "":
        return "none"
    if found := re.match(r"\$([0-9a-z]{1,8})\$", password_field):
        return kinds.get(found[1], found[1])
    return "des" if re.fullmatch(r"[./A-Za-z0-9]{13}", password_field) else None


def read_authorized_keys(text: str) -> tuple[str, ...]:
    """SHA-256 fingerprints, as ssh-keygen prints them, of the keys that may log in."""
    found: list[str] = []
    for raw in text.splitlines()[:LINES_MAX]:
        line = raw.strip()
        if line.startswith("#") or len(line) > KEY_LINE_MAX or len(found) >= MANY:
            continue
        match = re.search(r"(?:^|\s)((?:ssh|ecdsa|sk)-[\w@.-]{3,60}) ([A-Za-z0-9+/=]{20,})", line)
        if match is None:
            continue
        try:
            blob = base64.b64decode(match[2], validate=True)
        except binascii.Error:
            continue
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
        found.append(f"SHA256:{digest}")
    return tuple(dict.fromkeys(found))


def read_sessions(who: str | None) -> tuple[OpenSession, ...]:
    """Rows of who(1): user, line, time, and the origin in parentheses."""
    found = []
    for line in _lines(who or "")[:MANY]:
        if row := re.match(
            r"(\S{1,64})\s{1,40}(\S{1,32})\s{1,40}\S.{0,60}?(?:\(([^()]{1,80})\))?$", line
        ):
            found.append(OpenSession(account=row[1], line=row[2], origin=row[3]))
    return tuple(found)


# --- settings ----------------------------------------------------------------------------------


def read_settings(outputs: Mapping[str, str]) -> DeviceSettings:
    sshd = read_sshd_config(_text(outputs, "cat /etc/ssh/sshd_config"))
    pam = _text(outputs, "cat /etc/pam.d/sshd")
    listening = read_listening(_text(outputs, "ss -ltnuH"))
    multi_factor, note = read_multi_factor(sshd, pam)
    clock = read_assignments(_text(outputs, "timedatectl show") or "")
    definitions = _text(outputs, "cat /etc/login.defs")
    return DeviceSettings(
        platform=PLATFORM,
        session_timeout_s=read_timeout(_text(outputs, "cat /etc/profile"), sshd),
        login_banner=_banner(sshd, outputs),
        time_servers=read_time_servers(
            outputs.get("cat /etc/systemd/timesyncd.conf"),
            outputs.get("cat /etc/chrony/chrony.conf"),
        ),
        time_synchronised={"yes": True, "no": False}.get(clock.get("NTPSynchronized", "")),
        log_targets=read_log_targets(_text(outputs, "cat /etc/rsyslog.conf")),
        authentication=read_authentication(pam),
        multi_factor=multi_factor,
        multi_factor_note=note,
        telnet_enabled=None if listening is None else "tcp/23" in listening,
        http_enabled=True if listening and "tcp/80" in listening else None,
        password_encryption=(
            True if re.search(r"(?m)^ENCRYPT_METHOD\s+\w", definitions or "") else None
        ),
        listening=listening,
        lockout_after=read_lockout(pam),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SshdConfig:
    """
    What sshd_config itself decides. The first value of a keyword counts; an `Include` before it
    may have set it already, and a `Match` block may change it for some: both leave it unknown.
    """

    values: Mapping[str, str]
    included: bool = False
    """An Include stands before or without the keyword: absent does not mean unset."""
    unknown: frozenset[str] = field(default_factory=frozenset)

    def value(self, keyword: str) -> str | None:
        """The value; "" when it is not set for certain; None when it cannot be told."""
        if keyword in self.unknown:
            return None
        found = self.values.get(keyword)
        return found if found is not None else (None if self.included else "")


def read_sshd_config(text: str | None) -> SshdConfig | None:
    """None when the file was not read."""
    if text is None:
        return None
    values: dict[str, str] = {}
    unknown: set[str] = set()
    included = matching = False
    for line in _settings_lines(text):
        keyword, _, rest = re.sub(r"\s*[\s=]\s*", " ", line, count=1).partition(" ")
        keyword, rest = keyword.lower(), rest.strip().strip('"')
        if keyword == "include":
            included = True
        elif keyword == "match":
            matching = True
        elif matching:
            unknown.add(keyword)
        elif keyword not in values:
            values[keyword] = rest[:LINE_MAX]
            if included:
                unknown.add(keyword)
    return SshdConfig(values=values, included=included, unknown=frozenset(unknown))


def _banner(sshd: SshdConfig | None, outputs: Mapping[str, str]) -> bool | None:
    """Whether a text is shown before the login (RFC 4252 section 5.4)."""
    path = sshd.value("banner") if sshd else None
    if path is None:
        return None
    if path in ("", "none"):
        return False
    if path == "/etc/issue.net":
        text = outputs.get("cat /etc/issue.net")
        return None if text is None else text != ABSENT and bool(text.strip())
    return True


def read_timeout(profile: str | None, sshd: SshdConfig | None) -> int | None:
    """
    TMOUT of the login shells in seconds. 0 only where neither /etc/profile nor sshd could end an
    idle session: further files of /etc/profile.d, and sshd's own time-outs, are not read.
    """
    if profile is None:
        return None
    values = re.findall(
        r"(?m)^\s{0,20}(?:(?:export|readonly|declare|typeset)\s+(?:-\w+\s+)*)?TMOUT=(\d{1,7})\b",
        profile,
    )
    if values:
        return int(values[-1])
    if re.search(r"TMOUT|/etc/profile\.d|/etc/bash", profile):
        return None
    if sshd is None or sshd.value("channeltimeout") != "":
        return None
    return 0


def read_time_servers(timesyncd: str | None, chrony: str | None) -> tuple[str, ...] | None:
    """
    Servers of systemd-timesyncd and chrony; either may be ABSENT. () only when both were looked
    for and name none, nor another file that might.
    """
    found: list[str] = []
    elsewhere = False
    if timesyncd not in (None, ABSENT):
        for line in _settings_lines(timesyncd or "", "#;"):
            key, _, value = line.partition("=")
            if key.strip() in ("NTP", "FallbackNTP"):
                found += value.split()
    if chrony not in (None, ABSENT):
        for line in _settings_lines(chrony or "", "#;!%"):
            words = line.split()
            if words[0] in ("server", "pool", "peer") and len(words) > 1:
                found.append(words[1])
            elsewhere |= words[0] in ("confdir", "sourcedir", "include")
    if found:
        return tuple(dict.fromkeys(server[:TEXT_MAX] for server in found))[:MANY]
    return None if timesyncd is None or chrony is None or elsewhere else ()


def read_log_targets(rsyslog: str | None) -> tuple[str, ...] | None:
    """Receivers of rsyslog.conf: `selector @host` (UDP), `@@host` (TCP), omfwd actions."""
    if rsyslog is None:
        return None
    found: list[str] = []
    elsewhere = False
    for line in _settings_lines(rsyslog):
        if match := re.search(
            r"^[^\s#]+\s+@@?(?:\([^()]{0,20}\))?(\[[0-9A-Fa-f:]{2,39}\]|[\w.-]{1,253})", line
        ):
            found.append(match[1].strip("[]"))
        elsewhere |= line.startswith("$IncludeConfig") or bool(re.match(r"include\s*\(", line))
    for action in re.findall(r"action\s*\(([^()]{0,1000})\)", rsyslog[: LINE_MAX * 50]):
        target = re.search(r"""(?i)\btarget\s*=\s*["']([^"'\s]{1,253})["']""", action)
        if target and re.search(r"""(?i)type\s*=\s*["']om(?:fwd|relp)["']""", action):
            found.append(target[1])
    if found:
        return tuple(dict.fromkeys(target[:TEXT_MAX] for target in found))[:MANY]
    return None if elsewhere else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PamAuth:
    """The `auth` part of a PAM service: (control, module, arguments) in order."""

    rules: tuple[tuple[str, str, str], ...]
    includes: bool


def read_pam(text: str | None) -> PamAuth | None:
    if text is None:
        return None
    rules: list[tuple[str, str, str]] = []
    includes = False
    for line in _settings_lines(text):
        if re.match(r"@include\s+\S*auth", line):
            includes = True
            continue
        match = re.match(r"-?auth\s+(\[[^\]]{0,200}\]|\S{1,40})\s+(\S{1,200})\s*(.*)$", line)
        if match is None:
            continue
        if match[1] in ("include", "substack"):
            includes = True
            continue
        rules.append((match[1], match[2].rpartition("/")[2].removesuffix(".so"), match[3]))
    return PamAuth(rules=tuple(rules), includes=includes)


def read_lockout(pam: str | None) -> int | None:
    """
    Failures that lock an account. pam_faillock's own default is 3 (pam_faillock(8)), unless its
    faillock.conf says else, which is not read; pam_tally2 has none (pam_tally2(8)).
    """
    auth = read_pam(pam)
    found = []
    for _, module, arguments in auth.rules if auth else ():
        if module in ("pam_faillock", "pam_tally2", "pam_tally"):
            told = re.search(r"\bdeny=(\d{1,6})\b", arguments)
            if told and int(told[1]):
                found.append(int(told[1]))
            elif not told and module == "pam_faillock":
                found.append(3)
    return min(found, default=None)


def read_authentication(pam: str | None) -> tuple[str, ...] | None:
    """Who is asked for the password, in order; None where another PAM file decides it."""
    auth = read_pam(pam)
    if auth is None or auth.includes:
        return None
    names = {"pam_unix": "local", **SERVER_MODULES}
    return tuple(dict.fromkeys(names[module] for _, module, _ in auth.rules if module in names))


def read_multi_factor(sshd: SshdConfig | None, pam: str | None) -> tuple[bool | None, str | None]:
    """
    Whether every login over SSH takes two factors of different kinds, and a note.

    AuthenticationMethods lists alternatives, each a comma list that must be passed as a whole.
    Without it one method is enough: a public key alone, unless keys are switched off; then PAM
    decides.
    """
    if sshd is None:
        return None, None
    methods = sshd.value("authenticationmethods")
    if methods is None:
        return None, "another file or a Match block may set AuthenticationMethods"
    auth = read_pam(pam)
    if methods and methods != "any":
        return _by_methods(methods, auth)
    keys = sshd.value("pubkeyauthentication")
    password, note = _by_pam(sshd, auth)
    if keys != "no" and password is not True and keys is not None:
        return False, "one method is enough, a public key alone as well"
    if keys != "no" and password is True:
        return None, "passwords need a second factor, but a public key alone may be enough"
    return password, note


def _by_methods(methods: str, auth: PamAuth | None) -> tuple[bool | None, str | None]:
    said = [_factors(alternative, auth) for alternative in methods.split()[:20]]
    note = f"AuthenticationMethods {methods}"[:200]
    if False in said:
        return False, note
    return (None if None in said else True), note


def _factors(alternative: str, auth: PamAuth | None) -> bool | None:
    """Whether one comma list of methods takes two kinds of factor."""
    kinds = {method.partition(":")[0] for method in alternative.split(",")}
    if len(kinds) < 2:
        only_pam = kinds == {"keyboard-interactive"}
        return _demands_code(auth) if only_pam else False
    if kinds == {"password", "keyboard-interactive"}:
        return _demands_code(auth)
    return True


def _demands_code(auth: PamAuth | None) -> bool | None:
    """Whether PAM asks for a one-time code beside the password; None when it cannot be told."""
    if auth is None:
        return None
    for control, module, arguments in auth.rules:
        if module.startswith(OTP_MODULES):
            strict = control in ("required", "requisite") and "nullok" not in arguments
            return True if strict else None
    servers = any(module in SERVER_MODULES for _, module, _ in auth.rules)
    return None if servers or auth.includes else False


def _by_pam(sshd: SshdConfig, auth: PamAuth | None) -> tuple[bool | None, str | None]:
    """For passwords, where no AuthenticationMethods are set."""
    code = _demands_code(auth)
    if code is None:
        if auth and any(module == "pam_radius_auth" for _, module, _ in auth.rules):
            return None, "the RADIUS server may demand a second factor: ask there"
        return None, "whether PAM asks for a second factor was not told by the files read"
    if code and sshd.value("usepam") != "yes":
        return None, "a one-time code is configured in PAM, but UsePAM is not known to be on"
    return code, "PAM asks for a one-time code" if code else None


def read_listening(ss: str | None) -> tuple[str, ...] | None:
    """
    Open ports of `ss -ltnuH` as "tcp/22", those bound to a loopback address left out.

    Columns: Netid State Recv-Q Send-Q Local-Address:Port Peer-Address:Port.
    """
    if ss is None:
        return None
    found: set[tuple[str, int]] = set()
    for line in _lines(ss):
        words = line.split()
        if len(words) < 5 or words[0] not in ("tcp", "udp"):
            continue
        address, _, port = words[4].rpartition(":")
        if port.isdecimal() and 0 < int(port[:6]) < 65536 and not _is_loopback(address):
            found.add((words[0], int(port)))
    return tuple(f"{transport}/{port}" for transport, port in sorted(found)[:MANY])


def _is_loopback(address: str) -> bool:
    bare = address.strip("[]").partition("%")[0]
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False
