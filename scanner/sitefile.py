"""
The keys of a site file: one model per block, each key with the sentence that explains it.

The models take text as the YAML reader left it and give values: networks, addresses, durations,
moments. What needs a second entry to be judged (overlaps, unknown references) is in scanner.site.
The descriptions are shown as hints beside an error and explained at length in docs/site-file.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from scanner.model import FR_KEYS, DeviceClass, Tier, Transport
from scanner.windows import MAX_DURATION, Window
from scanner.yamlfile import Block, did_you_mean, refuse, shown

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

ProfileName = Literal["fragile", "default", "robust", "lab"]
Criticality = Literal["low", "medium", "high", "critical"]
Consent = Literal["cleartext"]
OverIp = Literal[Transport.TCP, Transport.UDP]
"""No flow and no service is on layer 2."""

MAX_UNIT_IDS = 3
MAX_DNP3_ADDRESSES = 3
PRINTER_PORTS = range(9100, 9108)
"""Raw printing: whatever arrives is printed, so nothing is ever sent there."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HOST_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_YEARS = range(2000, 2200)

WALKED_IPV6_PREFIX = 120
"""A larger IPv6 network is never walked; in it only the declared assets are asked."""

_MAPPED = IPv6Network("::ffff:0:0/96")


# --- values ------------------------------------------------------------------------------------


def parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse("expected text")
    text = value.strip()
    if not text:
        raise refuse("is empty")
    if len(text) > 200:
        raise refuse("is longer than 200 characters")
    if not text.isprintable():
        raise refuse("contains a control character")
    return text


def parse_identifier(value: Any) -> str:
    text = parse_text(value)
    if not _ID.fullmatch(text):
        raise refuse(
            f"{shown(text)} cannot be an id",
            "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63",
        )
    return text


def _word(value: Any) -> str:
    text = parse_text(value)
    if not _WORD.fullmatch(text):
        raise refuse(f"{shown(text)} is not a name", "small letters, digits, '_' and '-'")
    return text


def parse_network(value: Any) -> Network:
    """A network as the file has it; a single address is a network of one. Raises for host bits."""
    text = parse_text(value)
    try:
        network = ip_network(text)
    except ValueError as error:
        try:
            meant = str(ip_network(text, strict=False))
        except ValueError:
            raise refuse(
                f"{shown(text)} is not a network", "write it like 10.1.0.0/24 or fd00:1::/120"
            ) from None
        if "host bits" in str(error):
            raise refuse(
                f"{shown(text)} has bits set beyond its prefix",
                f"the network is {meant}; for the one device write {text.partition('/')[0]}",
            ) from None
        raise
    _usable(network)
    return network


def parse_address(value: Any) -> Address:
    text = parse_text(value)
    if "%" in text:
        raise refuse(f"{shown(text)} names an interface", "link-local addresses cannot be scanned")
    try:
        address = ip_address(text)
    except ValueError:
        hint = "names are not looked up; write the IP address"
        raise refuse(f"{shown(text)} is not an IP address", hint) from None
    _usable(ip_network(address))
    return address


def _usable(network: Network) -> None:
    """Raises for networks in which no single device has an address."""
    if isinstance(network, IPv6Network):
        if network.overlaps(IPv6Network("fe80::/10")):
            raise refuse(
                f"{network} is link-local", "such addresses need an interface and cannot be scanned"
            )
        if network.overlaps(_MAPPED):
            raise refuse(
                f"{network} holds IPv4 addresses in IPv6 form", "write them as IPv4 addresses"
            )
        wrong = network.overlaps(IPv6Network("ff00::/8")) or network.overlaps(IPv6Network("::/128"))
    else:
        wrong = any(network.overlaps(IPv4Network(each)) for each in ("0.0.0.0/8", "224.0.0.0/3"))
    if wrong:
        raise refuse(
            f"{network} is not made of device addresses",
            "multicast, broadcast, reserved and unspecified addresses are never sent to",
        )


def parse_duration(value: Any) -> timedelta:
    text = parse_text(value)
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise refuse(f"{shown(text)} is not a duration", "write 90s, 15m, 4h or 30d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _window_duration(value: Any) -> timedelta:
    duration = parse_duration(value)
    if duration > MAX_DURATION:
        raise refuse(f"a window lasts at most {MAX_DURATION.days} days")
    return duration


def parse_moment(value: Any) -> datetime:
    """A date and time, aware or not. A bare date is refused: midnight would be a guess."""
    text = parse_text(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or not re.search(r"[T ][0-9]{2}:?[0-9]{2}", text):
        raise refuse(
            f"{shown(text)} is not a date and time", "write it like 2026-11-20T18:00+01:00"
        )
    if moment.year not in _YEARS:
        raise refuse(f"the year {moment.year} cannot be meant")
    return moment


def _aware_moment(value: Any) -> datetime:
    moment = parse_moment(value)
    if moment.tzinfo is None:
        raise refuse(
            f"{shown(str(value))} has no offset from UTC",
            f"write it like {moment.isoformat(timespec='minutes')}+01:00",
        )
    return moment


def _timezone(value: Any) -> ZoneInfo:
    text = parse_text(value)
    try:
        if text not in available_timezones():
            raise ValueError(text)
        return ZoneInfo(text)
    except (ValueError, OSError):
        names = {each for each in available_timezones() if "/" in each}
        near = did_you_mean(text, names)
        hint = near if near.startswith("did") else "write it like Europe/Berlin"
        raise refuse(f"{shown(text)} is not a known time zone", hint) from None


def _level(value: int) -> int:
    if not 0 <= value <= 4:
        raise refuse(f"{value} is not a security level", "SL-T is a whole number from 0 to 4")
    return value


def _spread_level(value: Any) -> Any:
    """One level for all seven FRs."""
    return dict.fromkeys(FR_KEYS, value) if isinstance(value, str) else value


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise refuse(f"{value} is not a port", "ports are from 1 to 65535")
    return value


def _asked_port(value: int) -> int:
    if value in PRINTER_PORTS:
        raise refuse(f"port {value} is never asked", "ports 9100 to 9107 print what they receive")
    return _port(value)


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _nothing_is_empty(value: Any) -> Any:
    """`assets:` with every line below it commented out is an empty list."""
    return [] if value is None else value


def _nothing_is_blank(value: Any) -> Any:
    return {} if value is None else value


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise refuse("names something twice")
    return values


def _unit_id(value: int) -> int:
    if not (0 <= value <= 247 or value == 255):
        raise refuse(f"{value} is not a Modbus unit id", "unit ids are 0 to 247 and 255")
    return value


def _few_unit_ids(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(values) > MAX_UNIT_IDS:
        raise refuse(
            f"{len(values)} unit ids are listed",
            f"at most {MAX_UNIT_IDS} are asked per device, so that no gateway is swept",
        )
    return values


def _dnp3_address(value: int) -> int:
    if not 0 <= value <= 0xFFEF:
        raise refuse(
            f"{value} is not a DNP3 address of a device",
            "addresses are 0 to 65519; those above are broadcasts or reserved",
        )
    return value


def _few_dnp3_addresses(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(values) > MAX_DNP3_ADDRESSES:
        raise refuse(
            f"{len(values)} DNP3 addresses are listed",
            f"at most {MAX_DNP3_ADDRESSES} are asked per device, so that no line is swept",
        )
    return values


def _secret_reference(value: Any) -> str:
    """The message never quotes what stands there: it may be the secret itself."""
    kind, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == "file" and rest.strip() and rest.isprintable() and len(rest) <= 1000:
        return f"file:{rest.strip()}"
    if kind == "env" and _ENVIRONMENT_NAME.fullmatch(rest):
        return f"env:{rest}"
    raise refuse(
        "expected a reference to a secret, not the secret itself",
        "put it into a file that only you can read and write file:PATH, or env:NAME",
    )


def _host_key(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not _HOST_KEY.fullmatch(text):
        raise refuse(
            "is not a host key fingerprint",
            "write SHA256: and 43 characters, as ssh-keygen -lf prints it on the device",
        )
    return text


def _state(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable() or len(text) > 1000:
        raise refuse("expected a file name or a postgresql:// URL")
    if "://" not in text:
        return text
    try:
        url = urlsplit(text)
        secret = url.password is not None or "password" in url.query.lower()
    except ValueError:
        raise refuse("is not a URL") from None
    if url.scheme not in ("postgresql", "postgresql+psycopg"):
        raise refuse(f"{shown(url.scheme)} is not a database that can be used", "use postgresql://")
    if secret:
        raise refuse("carries a password", "keep it in ~/.pgpass, or in PGPASSFILE or PGPASSWORD")
    return text


def _argument(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 1000:
        raise refuse("expected text without control characters")
    return value


Distinct = AfterValidator(_distinct)

Text = Annotated[str, PlainValidator(parse_text)]
Id = Annotated[str, PlainValidator(parse_identifier)]
Word = Annotated[str, PlainValidator(_word)]
NetworkEntry = Annotated[Network, PlainValidator(parse_network)]
AddressEntry = Annotated[Address, PlainValidator(parse_address)]
Duration = Annotated[timedelta, PlainValidator(parse_duration)]
WindowDuration = Annotated[timedelta, PlainValidator(_window_duration)]
Moment = Annotated[datetime, PlainValidator(parse_moment)]
AwareMoment = Annotated[datetime, PlainValidator(_aware_moment)]
Timezone = Annotated[ZoneInfo, PlainValidator(_timezone)]
Level = Annotated[int, AfterValidator(_level)]
Port = Annotated[int, AfterValidator(_port)]
AskedPort = Annotated[int, AfterValidator(_asked_port)]
AskedPorts = Annotated[tuple[AskedPort, ...], BeforeValidator(_one_or_more), Distinct]
UnitId = Annotated[int, AfterValidator(_unit_id)]
Dnp3Address = Annotated[int, AfterValidator(_dnp3_address)]
SecretReference = Annotated[str, PlainValidator(_secret_reference)]
HostKey = Annotated[str, PlainValidator(_host_key)]
State = Annotated[str, PlainValidator(_state)]
Argument = Annotated[str, PlainValidator(_argument)]
Listed = BeforeValidator(_nothing_is_empty)
Keyed = BeforeValidator(_nothing_is_blank)


# --- blocks ------------------------------------------------------------------------------------


class AuthorisationBlock(Block):
    reference: Text = Field(description="change or work order number of the permission")
    owner: Text = Field(description="who is responsible for the plant during the scan")
    contact: Text = Field(description="how the owner is reached while the scan runs")
    valid_from: AwareMoment = Field(description="when the permission begins, with its offset")
    valid_until: AwareMoment = Field(description="when it ends; nothing is sent from then on")


class WindowBlock(Block):
    id: Id = Field(description="name of the window, used by zones")
    start: Moment = Field(description="the first opening, in wall-clock time of `timezone`")
    duration: WindowDuration = Field(description="how long an opening lasts, as 4h or 90m")
    rrule: Text | None = Field(None, description="recurrence as in RFC 5545, FREQ=WEEKLY")
    timezone: Timezone | None = Field(
        None, description="IANA name like Europe/Berlin; needed when start has no offset"
    )


class SlTargetBlock(Block):
    iac: Level = Field(description="SL-T of FR 1, identification and authentication control")
    uc: Level = Field(description="SL-T of FR 2, use control")
    si: Level = Field(description="SL-T of FR 3, system integrity")
    dc: Level = Field(description="SL-T of FR 4, data confidentiality")
    rdf: Level = Field(description="SL-T of FR 5, restricted data flow")
    tre: Level = Field(description="SL-T of FR 6, timely response to events")
    ra: Level = Field(description="SL-T of FR 7, resource availability")


SlTarget = Annotated[SlTargetBlock, BeforeValidator(_spread_level)]


class FlowBlock(Block):
    protocol: Word = Field(description="protocol name: modbus, s7, http, https, ssh, ntp, …")
    transport: OverIp = Field(Transport.TCP, description="tcp or udp")
    port: Port = Field(description="port of the service")


class LoginBlock(Block):
    platform: Word = Field(description="netmiko device type like cisco_ios, or linux")
    user: Text = Field(description="account for reading; give it no right to write")
    secret: SecretReference = Field(description="file:PATH or env:NAME, never the secret itself")
    host_key: HostKey = Field(description="SHA256:… fingerprint of the device's SSH host key")


class AssetBlock(Block):
    name: Text | None = Field(None, description="what the plant calls the device")
    address: AddressEntry | None = Field(None, description="its IP address, if it has one")
    addresses: Annotated[tuple[AddressEntry, ...], Listed, Distinct] = Field(
        (), description="further addresses of the same device or chassis"
    )
    vendor: Text | None = Field(None, description="declared vendor, compared with what is seen")
    model: Text | None = Field(None, description="declared model")
    order_number: Text | None = Field(None, description="declared order number")
    hardware: Text | None = Field(None, description="declared hardware revision")
    firmware: Text | None = Field(None, description="declared firmware version")
    serial: Text | None = Field(None, description="declared serial number")
    device_class: DeviceClass | None = Field(
        None, alias="class", description="plc, rtu, io, drive, hmi, switch, firewall, server, …"
    )
    criticality: Criticality | None = Field(None, description="low, medium, high or critical")
    tier: Tier | None = Field(None, description="passive, identify, read or login, for this device")
    profile: ProfileName | None = Field(None, description="fragile, default, robust or lab")
    probes: Annotated[tuple[Word, ...], Distinct] | None = Field(
        None, description="the only probes asked on this device"
    )
    ports: Annotated[dict[Word, AskedPorts], Keyed] = Field(
        default_factory=dict, description="ports asked instead of the probe's own"
    )
    consent: Annotated[tuple[Consent, ...], Listed, Distinct] = Field(
        (), description="cleartext: credentials may go over Telnet, HTTP or SNMP v1/v2c"
    )
    unit_ids: Annotated[tuple[UnitId, ...], Listed, Distinct, AfterValidator(_few_unit_ids)] = (
        Field((), description="Modbus unit ids asked on this device, at most three")
    )
    dnp3_addresses: Annotated[
        tuple[Dnp3Address, ...], Listed, Distinct, AfterValidator(_few_dnp3_addresses)
    ] = Field((), description="DNP3 link addresses asked on this device, at most three")
    dnp3_master: Dnp3Address | None = Field(
        None, description="DNP3 link address in whose name this device is asked"
    )
    snmp_public: bool | None = Field(None, description="whether community public may be asked")
    expected_services: Annotated[tuple[FlowBlock, ...], Listed] | None = Field(
        None, description="services that this device is meant to offer"
    )
    login: LoginBlock | None = Field(None, description="your own account for reading its settings")


class ZoneBlock(Block):
    id: Id = Field(description="short name of the zone, used everywhere")
    name: Text | None = Field(None, description="the zone's full name")
    purdue: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = Field(
        None, description="level in the Purdue model, 0 to 5"
    )
    networks: Annotated[tuple[NetworkEntry, ...], Listed] = Field(
        description="its networks, as [10.1.0.0/24]; [] for a zone outside your reach"
    )
    exclude: Annotated[tuple[NetworkEntry, ...], Listed] = Field(
        (), description="addresses and networks to which nothing is ever sent"
    )
    sl_t: SlTarget = Field(description="target security level 0 to 4, one number or one per FR")
    tier: Tier = Field(Tier.IDENTIFY, description="passive, identify, read or login")
    window: Id | None = Field(None, description="the window in which the zone may be scanned")
    profile: ProfileName = Field("default", description="fragile, default, robust or lab")
    probes: Annotated[tuple[Word, ...], Distinct] | None = Field(
        None, description="the only probes asked in this zone"
    )
    ports: Annotated[dict[Word, AskedPorts], Keyed] = Field(
        default_factory=dict, description="ports asked here instead of the probes' own"
    )
    snmp_public: bool | None = Field(None, description="whether community public may be asked")
    assets: Annotated[tuple[AssetBlock, ...], Listed] = Field(
        (), description="devices that you know to be there"
    )


class ConduitBlock(Block):
    id: Id = Field(description="short name of the conduit")
    source: Id = Field(alias="from", description="zone at one end, where connections begin")
    target: Id = Field(alias="to", description="zone at the other end")
    sl_t: SlTarget = Field(description="target security level 0 to 4, one number or one per FR")
    remote_access: bool = Field(False, description="true when people reach the plant through it")
    monitored_by: Text | None = Field(None, description="what watches the traffic, if anything")
    allow: Annotated[tuple[FlowBlock, ...], Listed] = Field(
        (), description="traffic that is meant to pass"
    )


class BackupSourceBlock(Block):
    id: Id = Field(description="short name of the source")
    kind: Literal["folder", "git"] = Field(description="folder or git")
    path: Text = Field(description="where it is, relative to the site file")


class BackupRuleBlock(Block):
    max_age: Duration = Field(description="how old the newest backup may be, as 30d")


class BackupsBlock(Block):
    sources: Annotated[tuple[BackupSourceBlock, ...], Listed] = Field(
        (), description="where backups of configurations and projects are kept"
    )
    policy: Annotated[dict[DeviceClass, BackupRuleBlock], Keyed] = Field(
        default_factory=dict, description="per device class, how old a backup may be"
    )


class ServiceBlock(Block):
    id: Id = Field(description="short name of the service")
    kind: Literal["database", "vault", "backup", "timestamp"] = Field(
        description="database, vault, backup or timestamp"
    )
    address: AddressEntry = Field(description="its IP address; names are not looked up")
    transport: OverIp = Field(Transport.TCP, description="tcp or udp")
    port: Port = Field(description="its port")


class PolicyBlock(Block):
    session_timeout_max: Duration = Field(
        timedelta(minutes=15), description="longest idle time before a session must end"
    )
    generic_accounts: Annotated[tuple[Text, ...], Listed] = Field(
        (), description="account names that belong to nobody in particular"
    )
    max_age: Duration = Field(
        timedelta(days=90), description="older observations count as not assessed"
    )
    time_servers: Annotated[tuple[Text, ...], Listed] = Field(
        (), description="the time servers that devices should use"
    )
    log_targets: Annotated[tuple[Text, ...], Listed] = Field(
        (), description="the log servers that devices should send to"
    )


class SiteBlock(Block):
    site: Text = Field(description="the name of the site, as reports show it")
    authorisation: AuthorisationBlock | None = Field(
        None, description="the permission to scan; needed for anything but loopback"
    )
    windows: Annotated[tuple[WindowBlock, ...], Listed] = Field(
        (), description="maintenance windows"
    )
    zones: tuple[ZoneBlock, ...] = Field(description="the zones of the site")
    conduits: Annotated[tuple[ConduitBlock, ...], Listed] = Field(
        (), description="the conduits between zones"
    )
    backups: Annotated[BackupsBlock, Keyed] = Field(
        BackupsBlock(), description="where backups are, and how old they may be"
    )
    services: Annotated[tuple[ServiceBlock, ...], Listed] = Field(
        (), description="servers that Walkdown itself may talk to"
    )
    attestations: Text | None = Field(None, description="file with what the owner vouches for")
    policy: Annotated[PolicyBlock, Keyed] = Field(
        PolicyBlock(), description="what this site demands of its devices"
    )
    state: State | None = Field(None, description="file or postgresql:// URL kept between runs")
    snmp_public: bool = Field(True, description="whether SNMP community public may be asked")
    notify: Annotated[tuple[Argument, ...], Listed] = Field(
        (), description="command and arguments called after scheduled scans"
    )


BLOCKS: Sequence[type[Block]] = (
    SiteBlock,
    AuthorisationBlock,
    WindowBlock,
    ZoneBlock,
    SlTargetBlock,
    AssetBlock,
    LoginBlock,
    FlowBlock,
    ConduitBlock,
    BackupsBlock,
    BackupSourceBlock,
    BackupRuleBlock,
    ServiceBlock,
    PolicyBlock,
)
"""Every block of the file, for the documentation and its test."""


# --- what follows from one entry ---------------------------------------------------------------


def addresses_of(block: AssetBlock) -> tuple[str, ...]:
    """Every address of the chassis in canonical text, each once, the first one first."""
    first = () if block.address is None else (block.address,)
    return tuple(dict.fromkeys(str(each) for each in (*first, *block.addresses)))


def as_window(block: WindowBlock) -> Window:
    """On the clock of its time zone; without one, of the start's own offset."""
    zone: tzinfo = block.timezone or block.start.tzinfo or UTC
    start = block.start
    if start.tzinfo is not None:
        start = start.astimezone(zone).replace(tzinfo=None)
    return Window(
        id=block.id, start=start, duration=block.duration, rule=block.rrule, timezone=zone
    )


def is_walked(network: Network) -> bool:
    """Whether every address of a network is asked, not only declared ones."""
    return network.version == 4 or network.prefixlen >= WALKED_IPV6_PREFIX


def has_device(network: Network, ip: Address) -> bool:
    """False for the network and broadcast addresses of an IPv4 network with hosts between them."""
    if isinstance(network, IPv6Network) or network.prefixlen >= 31:
        return True
    return ip not in (network.network_address, network.broadcast_address)
