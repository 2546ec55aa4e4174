"""
What may be asserted about a device: the narrow waist between probes and checks.

A fact states what was seen, never what it means. `None` always means "not learned". A fact about
a device behind the one that answered carries its `sub_address` ("unit 3", "slot 2"). Text comes
from the wire and is untrusted: it is bounded by the probe and escaped where it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """
    What a device says it is. `device_class` is a value of model.DeviceClass.

    `basis` tells how sure the source is: "protocol" (a field made for the purpose), "table" (a
    number looked up in a vendor table), "text" (recognised in a banner or title).
    """

    kind: Literal["device_identity"] = "device_identity"
    sub_address: str | None = None
    vendor: str | None = None
    model: str | None = None
    order_number: str | None = None
    hardware: str | None = None
    firmware: str | None = None
    serial: str | None = None
    name: str | None = None
    device_class: str | None = None
    basis: Literal["protocol", "table", "text"] = "protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusAccess:
    """A Modbus server answered a request that carried no credential (Modbus has none)."""

    kind: Literal["modbus_access"] = "modbus_access"
    unit_id: int
    answers_without_login: bool | None = None
    identification: Literal["objects", "server_id", "exception", "empty"] | None = None
    exception_code: int | None = None
    run_indicator: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S7Access:
    """
    S7comm state. `protection_level` is 1 (none) to 3 (read and write need the password), from
    SZL 0x0232 `sch_rel`; `password_set` from `sch_par`; `mode_switch` 1 RUN, 2 RUN-P, 3 STOP,
    4 MRES; `operating_state` "run", "stop" or None, from SZL 0x0424.
    """

    kind: Literal["s7_access"] = "s7_access"
    answers_without_login: bool | None = None
    tsap: int | None = None
    pdu_size: int | None = None
    protection_level: int | None = None
    password_set: bool | None = None
    mode_switch: int | None = None
    operating_state: Literal["run", "stop"] | None = None
    module_name: str | None = None
    plant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CipAccess:
    """EtherNet/IP and CIP. `status_word` is Identity attribute 5; `state` attribute 8."""

    kind: Literal["cip_access"] = "cip_access"
    answers_without_login: bool | None = None
    vendor_id: int | None = None
    device_type: int | None = None
    product_code: int | None = None
    status_word: int | None = None
    state: int | None = None
    inner_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpAccess:
    """
    SNMP as answered. `versions` are those that answered ("1", "2c", "3"); `community` names the
    one that was accepted, only ever "public" or one from the default-credential set.
    """

    kind: Literal["snmp_access"] = "snmp_access"
    versions: tuple[str, ...] = ()
    community: str | None = None
    engine_id: str | None = None
    enterprise: int | None = None
    engine_boots: int | None = None
    engine_time_s: int | None = None
    object_id: str | None = None
    uptime_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInterface:
    """One row of ifTable. `name` is its ifDescr, `short_name` its ifName ("Gi1/1")."""

    kind: Literal["network_interface"] = "network_interface"
    index: int
    name: str | None = None
    short_name: str | None = None
    mac: str | None = None
    speed_bps: int | None = None
    admin_up: bool | None = None
    oper_up: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """
    One neighbour as a device's LLDP remote table or CDP cache tells it: whoever announces itself
    on the cable in `local_port`.

    `capabilities` are what it says that it does, in the words of IEEE 802.1AB ("bridge", "router",
    "station", …); None where it does not say. `platform` is CDP's field of that name.
    """

    kind: Literal["neighbour"] = "neighbour"
    local_port: str | None = None
    chassis_id: str | None = None
    port_id: str | None = None
    system_name: str | None = None
    system_description: str | None = None
    management_address: str | None = None
    protocol: Literal["lldp", "cdp"] = "lldp"
    platform: str | None = None
    capabilities: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAddress:
    """
    A device's MAC address. `told_by` is "neighbours" where the scanner's own system resolved it
    (the device is on the same link), else what told it: "arp", "dhcp", "lldp", "nmap", …
    """

    kind: Literal["link_address"] = "link_address"
    mac: str
    told_by: str = "neighbours"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLayerName:
    """
    Under which names a device is known on its cables: the chassis id and the system name that its
    LLDP sends, and the address of its bridge (dot1dBaseBridgeAddress).
    """

    kind: Literal["link_layer_name"] = "link_layer_name"
    chassis_id: str | None = None
    system_name: str | None = None
    bridge_address: str | None = None
    capabilities: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLayerPort:
    """One of a device's own ports as its LLDP names it to others."""

    kind: Literal["link_layer_port"] = "link_layer_port"
    number: int
    port_id: str | None = None
    description: str | None = None
    interface: str | None = None
    """The name of the interface that it is, as BridgeEntry names its port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEntry:
    """
    One row of a bridge's forwarding table: frames to `mac` leave at `port`.

    `port` is the name of the port's interface (ifName, else ifDescr), or "port N" where it has
    none. `vlan` is told only where the bridge maps its tables to VLANs.
    """

    kind: Literal["bridge_entry"] = "bridge_entry"
    mac: str
    port: str
    vlan: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressEntry:
    """One row of a device's ARP or neighbour table: who it has spoken to, and where."""

    kind: Literal["address_entry"] = "address_entry"
    ip: str
    mac: str
    interface: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAddress:
    """An IP address that a device says is its own."""

    kind: Literal["own_address"] = "own_address"
    ip: str
    prefix_length: int | None = None
    interface: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VlanName:
    kind: Literal["vlan_name"] = "vlan_name"
    vlan: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRead:
    """
    How much of a table was read. `complete` False: it may hold more than our bounds let us read,
    so that what is not among the facts may be in the table all the same.
    """

    kind: Literal["table_read"] = "table_read"
    table: Literal["bridge", "addresses", "own_addresses", "neighbours"]
    rows: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFace:
    """
    What one GET of the start page returned.

    `asks_login` is True when the reply demanded authentication (401) or shows a password field,
    False when a page came that has neither, None when it cannot be told (redirects, errors).
    `offers_controls` is True when the page served without login carries a form that posts.
    """

    kind: Literal["http_face"] = "http_face"
    scheme: Literal["http", "https"]
    status: int
    server: str | None = None
    title: str | None = None
    realm: str | None = None
    auth_schemes: tuple[str, ...] = ()
    location: str | None = None
    asks_login: bool | None = None
    offers_controls: bool | None = None
    redirects_to_https: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFace:
    """
    The TLS end of a service. `accepted_versions` is filled in the read tier only (one handshake
    per version); in the identify tier it is None and `version` tells the one negotiated.
    """

    kind: Literal["tls_face"] = "tls_face"
    version: str | None = None
    cipher: str | None = None
    accepted_versions: tuple[str, ...] | None = None
    refused_versions: tuple[str, ...] | None = None
    subject: str | None = None
    issuer: str | None = None
    self_signed: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    key_type: str | None = None
    key_bits: int | None = None
    signature_hash: str | None = None
    names: tuple[str, ...] = ()
    fingerprint_sha256: str | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SshFace:
    """The server's identification string and the lists of its KEXINIT (RFC 4253 section 7.1)."""

    kind: Literal["ssh_face"] = "ssh_face"
    banner: str
    protocol_version: str | None = None
    software: str | None = None
    kex: tuple[str, ...] | None = None
    host_key: tuple[str, ...] | None = None
    encryption: tuple[str, ...] | None = None
    mac: tuple[str, ...] | None = None
    compression: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SshHostKey:
    kind: Literal["ssh_host_key"] = "ssh_host_key"
    algorithm: str
    bits: int | None = None
    fingerprint_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAuthMethods:
    """Methods offered to user authentication `none` (RFC 4252 section 5.2)."""

    kind: Literal["ssh_auth_methods"] = "ssh_auth_methods"
    methods: tuple[str, ...]
    accepts_none: bool = False
    login_banner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TelnetFace:
    """
    `asks_login` is True when a login or password prompt came, False when a command prompt came
    without one, None when neither could be told.
    """

    kind: Literal["telnet_face"] = "telnet_face"
    banner: str
    options: tuple[str, ...] = ()
    asks_login: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialAttempt:
    """
    One default credential tried on a product it belongs to (login tier). Never the secret itself:
    `credential` is the id of the entry in credentials/sets.

    `open_without_login` is the baseline taken first; `control_accepted` whether a user that
    cannot exist was let in as well (asked only after `accepted`); None means not asked.
    """

    kind: Literal["credential_attempt"] = "credential_attempt"
    service: str
    credential: str
    account: str
    product: str
    open_without_login: bool | None = None
    accepted: bool | None = None
    control_accepted: bool | None = None
    lockout_sign: str | None = None
    withheld: str | None = None
    """Why no attempt was made: "ledger", "policy", "open_without_login", "locked"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account read from a device with the operator's own login."""

    kind: Literal["account"] = "account"
    name: str
    role: str | None = None
    privileged: bool | None = None
    enabled: bool | None = None
    secret_fingerprint: str | None = None
    """Keyed hash of the stored secret (per-site key), so that reuse is seen without the secret."""
    secret_storage: str | None = None
    """How the device keeps it: "clear", "type 7", "md5", "sha512", …"""
    key_fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session open at the time of the look (from `who` or its equivalents)."""

    kind: Literal["open_session"] = "open_session"
    account: str
    origin: str | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """
    Settings read from a device's configuration with the operator's own login.

    A setting that the configuration was read for and does not contain is an empty tuple, 0 or
    False; None means that the configuration did not tell.
    """

    kind: Literal["device_settings"] = "device_settings"
    platform: str
    session_timeout_s: int | None = None
    """0 means that sessions never end by themselves."""
    login_banner: bool | None = None
    time_servers: tuple[str, ...] | None = None
    time_synchronised: bool | None = None
    log_targets: tuple[str, ...] | None = None
    authentication: tuple[str, ...] | None = None
    """The chain in order: "local", "radius", "tacacs+", "ldap"."""
    multi_factor: bool | None = None
    multi_factor_note: str | None = None
    telnet_enabled: bool | None = None
    http_enabled: bool | None = None
    snmp_communities: int | None = None
    community_fingerprints: tuple[str, ...] = ()
    password_encryption: bool | None = None
    listening: tuple[str, ...] | None = None
    """Ports the device itself says are open, as "tcp/22"."""
    lockout_after: int | None = None
    """Failed logins that lock an account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningConfiguration:
    """SHA-256 of the configuration as read (volatile lines dropped, secrets still in it)."""

    kind: Literal["running_configuration"] = "running_configuration"
    platform: str
    sha256: str
    lines: int
    drop_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRecord:
    """
    What the owner's backup source holds for one asset (scanner.backups). `age_s` is at the time
    of the assessment's run; `matches_running` compares with RunningConfiguration.
    """

    kind: Literal["backup_record"] = "backup_record"
    source: str
    found: bool
    path: str | None = None
    taken_at: datetime | None = None
    age_s: int | None = None
    max_age_s: int | None = None
    manifest_ok: bool | None = None
    manifest_note: str | None = None
    matches_running: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginUnavailable:
    """Why the operator's own login could not be used; what it would have told stays unknown."""

    kind: Literal["login_unavailable"] = "login_unavailable"
    service: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccess:
    """
    A service answered, and what that showed of who may use it.

    `protocol` is the probe's name. `answers_without_login`: it told something about the device to
    somebody who had shown no credential; False when it asked for one first. `encrypted` speaks of
    this connection. `version` is that of the protocol, or of the software where the protocol has a
    field for it. `authentication` are the methods it offers or asks for, in the protocol's words.
    `details` are further named values that the reply carried, in the specification's words.
    """

    kind: Literal["service_access"] = "service_access"
    protocol: str
    answers_without_login: bool | None = None
    encrypted: bool | None = None
    version: str | None = None
    authentication: tuple[str, ...] | None = None
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerState:
    """
    What a controller tells of its program and its mode, whatever the protocol.

    `operating_state` in the protocol's words, in small ("run", "stop", "program", …).
    `protected`: whether changing the program needs a password or a key, as the device states it.
    `reserved_by` is who holds the engineering reservation. `checksum` is of the program, in hex.
    """

    kind: Literal["controller_state"] = "controller_state"
    sub_address: str | None = None
    operating_state: str | None = None
    protected: bool | None = None
    project_name: str | None = None
    project_revision: str | None = None
    project_changed_at: str | None = None
    reserved_by: str | None = None
    checksum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramBlock:
    """One block of a controller's program, as its list of blocks tells it. Times as told."""

    kind: Literal["program_block"] = "program_block"
    sub_address: str | None = None
    block: str
    language: str | None = None
    size_bytes: int | None = None
    checksum: str | None = None
    changed_at: str | None = None
    author: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacnetAccess:
    """
    A BACnet device object. `broadcast_table` and `foreign_devices` are "address:port" of a BBMD
    (BVLC Read-Broadcast-Distribution-Table and Read-Foreign-Device-Table); None: not read.
    """

    kind: Literal["bacnet_access"] = "bacnet_access"
    instance: int | None = None
    vendor_id: int | None = None
    protocol_revision: int | None = None
    objects: int | None = None
    system_status: str | None = None
    broadcast_table: tuple[str, ...] | None = None
    foreign_devices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcUaEndpoint:
    """
    One endpoint description of an OPC UA server (part 4, section 7.14).

    `security_policy` is the last part of its URI ("None", "Basic256Sha256"). `token_types` are the
    user identity tokens it takes; `cleartext_password` is True when a user name token would leave
    without encryption (neither its own policy nor the endpoint's encrypts it).
    """

    kind: Literal["opcua_endpoint"] = "opcua_endpoint"
    url: str
    security_mode: Literal["none", "sign", "sign_and_encrypt", "invalid"]
    security_policy: str
    token_types: tuple[str, ...] = ()
    cleartext_password: bool | None = None
    certificate_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmbFace:
    """
    `dialects` that were accepted ("NT LM 0.12", "2.1", "3.1.1"). `guest` None: not tried.
    """

    kind: Literal["smb_face"] = "smb_face"
    dialects: tuple[str, ...] = ()
    smb1: bool | None = None
    signing_required: bool | None = None
    signing_enabled: bool | None = None
    guest: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RdpFace:
    """
    `protocols` are those accepted when offered ("rdp", "tls", "credssp", "credssp_early").
    `needs_nla` is True when a connection without network level authentication was refused.
    """

    kind: Literal["rdp_face"] = "rdp_face"
    protocols: tuple[str, ...] = ()
    needs_nla: bool | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VncFace:
    """`security_types` by their registered names; "None" lets anybody in."""

    kind: Literal["vnc_face"] = "vnc_face"
    version: str
    security_types: tuple[str, ...] | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationCertificate:
    """The application instance certificate that an OPC UA server shows; nothing is verified."""

    kind: Literal["application_certificate"] = "application_certificate"
    subject: str | None = None
    issuer: str | None = None
    self_signed: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    key_type: str | None = None
    key_bits: int | None = None
    signature_hash: str | None = None
    names: tuple[str, ...] = ()
    fingerprint_sha256: str | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """
    Who talked with whom, as a capture or a log of the network shows it.

    `port` is the server's, None where the protocol has none. `answered` tells whether the server
    was seen to reply; None: the source does not say. `packets` of both directions.
    """

    kind: Literal["conversation"] = "conversation"
    client: str
    server: str
    transport: str
    port: int | None = None
    protocol: str
    first_seen: datetime
    last_seen: datetime
    packets: int | None = None
    answered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDevice:
    """
    What a list says of a device (an asset register, a spreadsheet): said, not seen.

    Never a part of an asset's identity, and never a reason for a check to pass. `zone`, `class_`
    and `details` (further columns) are in the list's own words; `behind` is a sub-address.
    """

    kind: Literal["claimed_device"] = "claimed_device"
    vendor: str | None = None
    model: str | None = None
    order_number: str | None = None
    hardware: str | None = None
    firmware: str | None = None
    serial: str | None = None
    name: str | None = None
    own_name: str | None = None
    class_: str | None = None
    mac: str | None = None
    zone: str | None = None
    behind: str | None = None
    addresses: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()


Fact = Annotated[
    DeviceIdentity
    | ModbusAccess
    | S7Access
    | CipAccess
    | SnmpAccess
    | NetworkInterface
    | Neighbour
    | LinkAddress
    | LinkLayerName
    | LinkLayerPort
    | BridgeEntry
    | AddressEntry
    | OwnAddress
    | VlanName
    | TableRead
    | HttpFace
    | TlsFace
    | SshFace
    | SshHostKey
    | SshAuthMethods
    | TelnetFace
    | CredentialAttempt
    | Account
    | OpenSession
    | DeviceSettings
    | RunningConfiguration
    | BackupRecord
    | LoginUnavailable
    | ServiceAccess
    | ControllerState
    | ProgramBlock
    | BacnetAccess
    | OpcUaEndpoint
    | ApplicationCertificate
    | SmbFace
    | RdpFace
    | VncFace
    | Conversation
    | ClaimedDevice,
    Field(discriminator="kind"),
]
