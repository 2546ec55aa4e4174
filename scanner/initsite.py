"""
The first site file of a plant: complete, commented, and valid before anything is filled in.

What a user must decide stands as a commented line that only needs its '#' removed, so that the
file loads from the first minute and a plan can be printed; a scan beyond loopback is refused until
the authorisation is filled in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic_core import PydanticCustomError

from scanner.errors import SiteErrors, UsageError
from scanner.model import Topology, TopologyNode, ZoneInfo
from scanner.profiles import DEFAULT
from scanner.site import resolve
from scanner.sitefile import (
    Address,
    Network,
    is_walked,
    parse_identifier,
    parse_network,
    parse_text,
)
from scanner.yamlfile import parse

_HEAD = """\
# Site file of Walkdown. Every key is explained in docs/site-file.md.
# Lines that begin with '#' and hold a key are examples: remove the '#' and fill them in.
# Unknown keys are refused. Check the file with: walkdown plan {file}

site: {site}                       # the name of the site, as reports show it

# The permission to scan. Nothing beyond loopback is sent without it.
#authorisation:
#  reference: CHG-2026-0001        # change or work order number of the permission
#  owner: Shift lead               # who is responsible for the plant during the scan
#  contact: "ext. 4711"            # how the owner is reached while the scan runs
#  valid_from: 2026-01-10T18:00+01:00    # begin, with the offset from UTC
#  valid_until: 2026-01-11T06:00+01:00   # end; nothing is sent from then on

# Maintenance windows, in the plant's wall-clock time. Zones name the one they obey.
windows:
#  - id: night                     # name of the window
#    start: 2026-01-10T22:00       # the first opening
#    duration: 4h                  # how long an opening lasts (m, h or d)
#    rrule: FREQ=WEEKLY            # recurrence as in RFC 5545; without it: one opening only
#    timezone: Europe/Berlin       # IANA name of the plant's time zone

zones:
"""

_ZONE = """\
  - id: {id}                       # short name of the zone, used everywhere
    name: {name}                   # its full name
    networks: [{networks}]         # its networks; [] for a zone outside your reach
    # one level for each FR: {{iac: 1, uc: 1, si: 1, dc: 1, rdf: 1, tre: 1, ra: 1}}
    sl_t: 1                        # target security level 0 to 4: decide it
    tier: identify                 # passive, identify, read or login
    profile: {profile}             # pacing: fragile, default, robust (lab: loopback only)
{purdue}                           # level in the Purdue model, 0 to 5
#    exclude: []                   # addresses and networks to which nothing is ever sent
#    window: night                 # the window in which this zone may be scanned
#    probes: [modbus, s7, http]    # the only probes asked here; default: all of the tier
#    ports: {{modbus: [502, 1502]}}   # ports asked here instead of the probes' own
#    snmp_public: false            # never ask SNMP with community public here
    assets:                        # devices that you know to be there
"""

_ASSET = """\
#      - name: PLC-1               # what the plant calls the device
#        address: {address}        # its IP address, if it has one
#        addresses: []             # further addresses of the same device or chassis
#        vendor: Siemens           # declared identity, compared with what is seen:
#        model: CPU 315-2 PN/DP    # model
#        order_number: 6ES7 315-2EH14-0AB0   # order number
#        hardware: "6"             # hardware revision
#        firmware: V3.2.6          # firmware version
#        serial: S C-A1B2C3D4E5F6  # serial number
#        class: plc                # plc, rtu, io, drive, hmi, switch, firewall, gateway, server, …
#        criticality: high         # low, medium, high or critical
#        tier: passive             # passive, identify, read or login, for this device
#        profile: fragile          # pacing of this device
#        probes: [http]            # the only probes asked on this device
#        ports: {{modbus: 1502}}   # ports asked instead of the probe's own
#        consent: [cleartext]      # credentials may go over protocols that do not encrypt
#        unit_ids: [1]             # Modbus unit ids asked, at most three
#        dnp3_addresses: [1]       # DNP3 link addresses asked, at most three
#        dnp3_master: 100          # DNP3 link address in whose name it is asked
#        snmp_public: false        # never ask this device with community public
#        expected_services:        # services that it is meant to offer
#          - {{protocol: modbus, transport: tcp, port: 502}}
#        login:                    # your own account for reading its settings
#          platform: cisco_ios     # netmiko device type, or linux
#          user: auditor           # an account without any right to write
#          secret: file:secrets/plc-1    # file:PATH or env:NAME, never the secret itself
#          host_key: SHA256:0000000000000000000000000000000000000000000   # of its SSH server
"""

_TAIL = """
# Conduits: the paths between zones.
conduits:
#  - id: c1                        # short name of the conduit
#    from: {first}                 # zone where connections begin
#    to: {second}                  # zone at the other end
#    sl_t: 1                       # target security level, as for a zone
#    remote_access: false          # true when people reach the plant through it
#    monitored_by: null            # what watches the traffic, if anything
#    allow:                        # traffic that is meant to pass
#      - {{protocol: modbus, transport: tcp, port: 502}}

# Backups of configurations and projects, and how old they may be per device class.
backups:
#  sources:
#    - id: nas                     # short name of the source
#      kind: folder                # folder or git
#      path: backups               # where it is, relative to this file
#  policy:
#    plc: {{max_age: 30d}}         # the newest backup of a plc may be 30 days old

# Servers that Walkdown itself may talk to; never devices.
services:
#  - id: archive                   # short name of the service
#    kind: database                # database, vault, backup or timestamp
#    address: 192.0.2.10           # its IP address; names are not looked up
#    transport: tcp                # tcp or udp
#    port: 5432                    # its port

# What the site demands of its devices and of its evidence.
policy:
#  session_timeout_max: 15m        # longest idle time before a session must end
#  generic_accounts: [operator]    # account names that belong to nobody in particular
#  max_age: 90d                    # older observations count as not assessed
#  time_servers: [192.0.2.20]      # the time servers that devices should use
#  log_targets: [192.0.2.21]       # the log servers that devices should send to

#attestations: attestations.yaml   # file with what the owner vouches for
#state: {stem}.state.db            # what is kept between runs: a file or a postgresql:// URL
#snmp_public: true                 # false: SNMP community public is asked nowhere
#notify: [/usr/local/bin/tell-shift]   # command and arguments called after scheduled scans
"""


def render(
    cidrs: Sequence[str],
    zones: Sequence[str],
    *,
    site: str = "My plant",
    file: str = "site.yaml",
) -> str:
    """
    The text of a site file. The first network belongs to the first zone, the second to the second,
    and so on; a zone named again gets one more network, further networks go to the last zone, and
    further zones have none.

    Raises UsageError for anything that would make a file which does not load.
    """
    if not cidrs:
        raise UsageError(
            "no network given\n  hint: walkdown init --cidr 10.1.0.0/24 --zone control"
        )
    names = [_checked(parse_identifier, name, "--zone") for name in zones or ("zone1",)]
    networks = [_network(text) for text in cidrs]
    title = _checked(parse_text, site, "--site")
    rows: dict[str, list[Network]] = {name: [] for name in names}
    for index, network in enumerate(networks):
        rows[names[min(index, len(names) - 1)]].append(network)
    blocks = [_block(name, [str(each) for each in row]) for name, row in rows.items()]
    # the first zone has a network, as there is one; its example of an asset is enough
    blocks[0] += _ASSET.format(address=_quoted(str(_first(rows[names[0]][0]))))
    return _whole(blocks, list(rows), site=title, file=file, option="--cidr")


def render_proposed(
    zones: Sequence[ZoneInfo],
    topology: Topology,
    *,
    site: str = "My plant",
    file: str = "site.yaml",
) -> str:
    """
    The text of a site file with the zones that a run's topology proposes, each under its reasons,
    and the zones of before that no proposal parts. Devices that were met stand as comments: whoever
    owns the plant declares them.

    Raises UsageError where nothing is proposed, or for anything that would make a file which does
    not load.
    """
    if not topology.proposals:
        raise UsageError(
            "this run proposes no other zones than its site file has\n"
            "  hint: walkdown topology shows what is known; tier read tells more"
        )
    nodes = {node.id: node for node in topology.nodes}
    parted = {
        nodes[name].zone for one in topology.proposals for name in one.nodes if name in nodes
    } - {None}
    kept = [zone for zone in zones if zone.id not in parted]
    blocks, taken = [], {zone.id for zone in kept}
    names = [zone.id for zone in kept]
    for zone in kept:
        blocks.append(
            "  # As before.\n"
            + _block(zone.id, zone.networks, zone.name, profile=zone.profile, purdue=zone.purdue)
        )
    for proposal in topology.proposals:
        name = _free(proposal.id, taken)
        names.append(name)
        known = [nodes[one] for one in proposal.nodes if one in nodes]
        blocks.append(
            f"  # Proposed: {_comment('; '.join(proposal.reasons))}.\n"
            + _block(name, proposal.networks, proposal.name, purdue=proposal.purdue)
            + "".join(_met(node, address) for node in known for address in node.addresses)
        )
    parted_now = [zone for zone in zones if zone.id in parted]
    before = "".join(
        f"  # Zone {_comment(zone.id)} ({_comment(', '.join(zone.networks))}) is parted below; its "
        "other addresses are in no zone now.\n"
        for zone in parted_now
    )
    blocks[0] = before + blocks[0]
    return _whole(
        blocks,
        names,
        site=_checked(parse_text, site, "--site"),
        file=file,
        option="--from",
        note="# The zones are proposals, made from what devices told: decide on each of them.\n\n",
    )


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    taken.add(free)
    return free


def _met(node: TopologyNode, address: str) -> str:
    who = ", ".join(filter(None, (node.name, str(node.device_class), ", ".join(node.macs[:2]))))
    return f"#      - address: {_quoted(address)}  # {_comment(who)}\n"


def _comment(text: str) -> str:
    """On one line, bounded, and all to be seen."""
    return _spelled(text[:300])


def _block(
    name: str,
    networks: Sequence[str],
    title: str | None = None,
    *,
    profile: str = "default",
    purdue: float | None = None,
) -> str:
    level = "#    purdue: 1" if purdue is None else f"    purdue: {purdue:g}"
    return _ZONE.format(
        id=_quoted(name),
        name=_quoted(title or name),
        networks=", ".join(_quoted(each) for each in networks),
        profile=profile,
        purdue=level,
    )


def _whole(
    blocks: Sequence[str],
    names: Sequence[str],
    *,
    site: str,
    file: str,
    option: str,
    note: str = "",
) -> str:
    ids = [*names, *names]
    text = _aligned(
        note
        + _HEAD.format(site=_quoted(site), file=_spelled(file))
        + "\n".join(blocks)
        + _TAIL.format(
            first=_quoted(ids[0]), second=_quoted(ids[1]), stem=_spelled(Path(file).stem)
        )
    )
    try:
        resolve(parse(text, Path(file)))
    except SiteErrors as errors:
        # of --cidr only the networks are the user's own, and only their overlap was not checked
        hint = (
            "an address belongs to one zone only"
            if option == "--cidr"
            else "the zones of this run make no site file; `walkdown topology` shows the proposals"
        )
        raise UsageError(f"{option}: {errors.errors[0].message}\n  hint: {hint}") from None
    return text


def _aligned(text: str) -> str:
    """The same file with its end-of-line comments under each other."""
    return "".join(
        f"{match[1]:<41} # {match[2]}\n" if (match := _COMMENTED.fullmatch(line)) else f"{line}\n"
        for line in text.splitlines()
    )


def _checked(check: Callable[[str], str], text: str, option: str) -> str:
    try:
        return check(text)
    except PydanticCustomError as error:
        raise UsageError(_words(f"{option}: ", error)) from None


def _network(text: str) -> Network:
    """Raises UsageError also for a network that is too large for the default profile."""
    try:
        network = parse_network(text)
    except PydanticCustomError as error:
        raise UsageError(_words("--cidr: ", error)) from None
    largest = DEFAULT.largest_prefix(network.version)
    if is_walked(network) and network.prefixlen < largest:
        raise UsageError(
            f"--cidr: {network} is larger than the default profile allows (/{largest})\n"
            f"  hint: give several --cidr of /{largest} or smaller, those that hold devices"
        )
    return network


def _words(before: str, error: PydanticCustomError) -> str:
    context = error.context or {}
    hint = f"\n  hint: {context['hint']}" if context.get("hint") else ""
    return f"{before}{context.get('message', '')}{hint}"


def _first(network: Network) -> Address:
    """The first address of a device in a network, for the example."""
    return network[0] if network.num_addresses <= 2 else network[1]


_COMMENTED = re.compile(r"(.*\S) {2,}# (.*)")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*( [A-Za-z0-9_-]+)*|[0-9.]+(/[0-9]+)?")


def _quoted(text: str) -> str:
    """A YAML scalar that reads back as exactly this text."""
    plain = _PLAIN.fullmatch(text) and text.lower() != "null"
    return text if plain else '"' + _spelled(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _spelled(text: str) -> str:
    """On one line and all to be seen: what does not show as itself becomes YAML's own escape."""
    return "".join(
        c
        if c.isprintable() and unicodedata.category(c) not in ("Mn", "Me")
        else (f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}")
        for c in text
    )
