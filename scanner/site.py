"""
The site: zones, conduits, limits and permissions as the owner wrote them, fully resolved.

`load` reads a site file and either gives a `Site` or one error that lists everything wrong with the
file, each with its line and a remedy. The rest of the program asks the `Site` and never the file:
what holds for an address is worked out here once (asset over zone over site).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from scanner.correlate import Declared
from scanner.errors import SiteError, SiteErrors
from scanner.model import (
    FR_KEYS,
    ConduitInfo,
    DeviceClass,
    Flow,
    Identity,
    Tier,
    Transport,
    ZoneInfo,
)
from scanner.networks import Networks
from scanner.profiles import PROFILES, Profile, on_loopback, stricter
from scanner.sitecheck import compare, past_windows, vocabulary
from scanner.sitefile import (
    Address,
    AssetBlock,
    AuthorisationBlock,
    FlowBlock,
    LoginBlock,
    Network,
    SiteBlock,
    SlTargetBlock,
    ZoneBlock,
    addresses_of,
    as_window,
    has_device,
    is_walked,
)
from scanner.spec import SitePolicy
from scanner.windows import Authorisation, Window
from scanner.yamlfile import Document, read, validate

_STAND_INS = {"site": "?", "sl_t": "0"}
"""For the comparison of entries only, when the file has no usable value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginReference:
    """
    The operator's own login on a device. `secret` is "file:" and an absolute path, or "env:" and a
    name: the secret itself is read by whoever may, at the time of use.
    """

    platform: str
    user: str
    secret: str
    host_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAsset:
    """
    A declared device. `address` is None when the owner gave none; `addresses` are the further ones
    of the same chassis. None in the overrides means: as its zone.
    """

    zone: str
    name: str | None
    address: str | None
    addresses: tuple[str, ...]
    identity: Identity
    device_class: DeviceClass | None
    criticality: str | None
    tier: Tier | None
    profile: Profile | None
    probes: tuple[str, ...] | None
    ports: Mapping[str, tuple[int, ...]]
    consent: tuple[str, ...]
    unit_ids: tuple[int, ...]
    dnp3_addresses: tuple[int, ...]
    dnp3_master: int | None
    snmp_public: bool | None
    expected_services: tuple[Flow, ...]
    login: LoginReference | None

    @property
    def every_address(self) -> tuple[str, ...]:
        first = () if self.address is None else (self.address,)
        return first + self.addresses

    @property
    def label(self) -> str:
        return self.name or self.address or "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteZone:
    id: str
    name: str
    purdue: float | None
    networks: tuple[Network, ...]
    exclude: tuple[Network, ...]
    sl_t: Mapping[str, int]
    """Keys are FR_KEYS."""
    tier: Tier
    profile: Profile
    window: str | None
    probes: tuple[str, ...] | None
    ports: Mapping[str, tuple[int, ...]]
    snmp_public: bool
    assets: tuple[SiteAsset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePolicy:
    """
    What holds for one address, with nothing left to look up.

    `probes` None: all of the tier. `named_probes` is True when the asset itself lists its probes,
    which overrides the stop rule for controllers. `ports` maps a probe to the ports asked instead
    of its own. `asset` is None for an address that nobody declared.
    """

    zone: str
    address: str
    tier: Tier
    profile: Profile
    probes: tuple[str, ...] | None
    named_probes: bool
    ports: Mapping[str, tuple[int, ...]]
    consent: frozenset[str]
    unit_ids: tuple[int, ...]
    snmp_public: bool
    login: LoginReference | None
    window: str | None
    asset: SiteAsset | None
    dnp3_addresses: tuple[int, ...] = ()
    dnp3_master: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSource:
    """`kind` is "folder" or "git"; `path` is absolute."""

    id: str
    kind: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    sources: tuple[BackupSource, ...] = ()
    max_age: Mapping[DeviceClass, timedelta] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnService:
    """A server that Walkdown itself may talk to; never a device."""

    id: str
    kind: str
    address: str
    transport: Transport
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What the owner demands of devices and of evidence (`policy:`)."""

    session_timeout_max: timedelta = timedelta(minutes=15)
    generic_accounts: tuple[str, ...] = ()
    max_age: timedelta = timedelta(days=90)
    time_servers: tuple[str, ...] = ()
    log_targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    networks: Networks
    exclude: Networks


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    A valid site file. Zones are in the order of the file.

    `state` is an absolute path or a postgresql:// URL; `attestations` is an absolute path.
    """

    name: str
    path: Path
    authorisation: Authorisation | None
    windows: tuple[Window, ...]
    zones: tuple[SiteZone, ...]
    conduits: tuple[ConduitInfo, ...]
    backups: Backups
    services: tuple[OwnService, ...]
    attestations: Path | None
    demands: Demands
    state: str
    notify: tuple[str, ...]
    _assets: Mapping[str, SiteAsset] = field(repr=False, compare=False)
    """By every address of a chassis."""
    _zones: Mapping[str, SiteZone] = field(repr=False, compare=False)
    loopback_only: bool = field(init=False, repr=False, compare=False)
    _scopes: Mapping[str, _Scope] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for every packet and every address, and a zone may list a thousand networks.
        every = (network for zone in self.zones for network in zone.networks)
        object.__setattr__(self, "loopback_only", all(on_loopback(one) for one in every))
        scopes = {
            zone.id: _Scope(networks=Networks(zone.networks), exclude=Networks(zone.exclude))
            for zone in self.zones
        }
        object.__setattr__(self, "_scopes", scopes)

    @property
    def folder(self) -> Path:
        """Where relative paths of the file begin."""
        return self.path.parent

    def zone(self, zone_id: str) -> SiteZone:
        """Raises KeyError when there is none."""
        return self._zones[zone_id]

    def window_of(self, zone_id: str) -> str | None:
        return self.zone(zone_id).window

    def zone_of(self, address: str) -> str | None:
        """The zone in whose scope an address lies; None when nothing may be sent to it."""
        for zone in self.zones:
            if self.in_scope(zone.id, address):
                return zone.id
        return None

    def in_scope(self, zone_id: str, address: str) -> bool:
        """
        Whether a scan of the zone may send to this address: inside its networks, not excluded, and
        neither the network nor the broadcast address of a network that it lies in.
        """
        scope = self._scopes[zone_id]
        ip = ip_address(address)
        if scope.exclude.holding(ip):
            return False
        inside = scope.networks.holding(ip)
        if not inside or not any(has_device(network, ip) for network in inside):
            return False
        walked = any(is_walked(network) for network in inside)
        return walked or str(ip) in self._assets

    def addresses(self, zone_id: str) -> Iterator[str]:
        """
        Every address that a scan of the zone asks, each once: the walked networks in the order of
        the file, then declared assets in networks too large to be walked.
        """
        zone = self.zone(zone_id)
        seen: set[Address] = set()
        for network in zone.networks:
            for ip in network if is_walked(network) else ():
                if ip not in seen and self.in_scope(zone_id, str(ip)):
                    seen.add(ip)
                    yield str(ip)
        for address in self._assets:
            if ip_address(address) not in seen and self.in_scope(zone_id, address):
                yield address

    def asset(self, address: str) -> SiteAsset | None:
        return self._assets.get(str(ip_address(address)))

    def chassis(self, zone_id: str, address: str) -> str:
        """One key for all addresses of one device: zone and first address of the chassis."""
        asset = self.asset(address)
        if asset is None:
            return f"{zone_id}/{ip_address(address)}"
        return f"{asset.zone}/{asset.every_address[0]}"

    def settings(self, zone_id: str, address: str) -> DevicePolicy:
        """
        What holds for an address: the asset's own word, else its zone's. A chassis with a foot in
        another zone gets the stricter of both there, and one profile everywhere.
        """
        zone = self.zone(zone_id)
        asset = self.asset(address)
        canonical = str(ip_address(address))
        if asset is None:
            return DevicePolicy(
                zone=zone_id,
                address=canonical,
                tier=zone.tier,
                profile=zone.profile,
                probes=zone.probes,
                named_probes=False,
                ports=zone.ports,
                consent=frozenset(),
                unit_ids=(),
                snmp_public=zone.snmp_public,
                login=None,
                window=zone.window,
                asset=None,
            )
        home = self.zone(asset.zone)
        tier = asset.tier or home.tier
        if home.id != zone_id:
            tier = min(tier, zone.tier, key=lambda each: each.rank)
        allowed = home.snmp_public if asset.snmp_public is None else asset.snmp_public
        return DevicePolicy(
            zone=zone_id,
            address=canonical,
            tier=tier,
            profile=self._profile(asset),
            probes=zone.probes if asset.probes is None else asset.probes,
            named_probes=asset.probes is not None,
            ports={**zone.ports, **asset.ports},
            consent=frozenset(asset.consent),
            unit_ids=asset.unit_ids,
            snmp_public=allowed and (home.id == zone_id or zone.snmp_public),
            login=asset.login,
            window=zone.window,
            asset=asset,
            dnp3_addresses=asset.dnp3_addresses,
            dnp3_master=asset.dnp3_master,
        )

    def _profile(self, asset: SiteAsset) -> Profile:
        if asset.profile is not None:
            return asset.profile
        profile = self.zone(asset.zone).profile
        for address in asset.addresses:
            if (zone := self.zone_of(address)) is not None:
                profile = stricter(profile, self.zone(zone).profile)
        return profile

    def zone_infos(self) -> tuple[ZoneInfo, ...]:
        return tuple(
            ZoneInfo(
                id=zone.id,
                name=zone.name,
                purdue=zone.purdue,
                networks=tuple(str(network) for network in zone.networks),
                sl_t=dict(zone.sl_t),
                tier=zone.tier,
                profile=zone.profile.name,
            )
            for zone in self.zones
        )

    def conduit_infos(self) -> tuple[ConduitInfo, ...]:
        return self.conduits

    def declared(self) -> tuple[Declared, ...]:
        """Every declared asset, also those without an address, for the comparison with the seen."""
        return tuple(
            Declared(
                zone=asset.zone,
                address=asset.address,
                addresses=asset.addresses,
                name=asset.name,
                identity=asset.identity,
                device_class=asset.device_class,
                criticality=asset.criticality,
                expected_services=asset.expected_services,
            )
            for zone in self.zones
            for asset in zone.assets
        )

    def for_checks(self, assessed_at: datetime) -> SitePolicy:
        """What a check may know about the site."""
        return SitePolicy(
            site=self.name,
            assessed_at=assessed_at,
            zones=self.zone_infos(),
            conduits=self.conduits,
            session_timeout_max_s=int(self.demands.session_timeout_max.total_seconds()),
            generic_accounts=self.demands.generic_accounts,
            backup_required=tuple(each.value for each in self.backups.max_age),
            backup_sources=len(self.backups.sources),
            time_servers=self.demands.time_servers,
            log_targets=self.demands.log_targets,
        )

    def loosenings(self) -> tuple[str, ...]:
        """Every limit above the default and every tier above identify, each as a sentence."""
        return tuple(sentence for zone in self.zones for sentence in _loosenings(zone))


def load(
    path: Path,
    *,
    known_probes: frozenset[str] | None = None,
    known_services: frozenset[str] | None = None,
    now: datetime | None = None,
) -> Site:
    """
    Read a site file.

    `known_probes` are the names that `probes` may list and `known_services` those that `ports` may
    name (by default the same); None checks neither. `now` refuses windows that are over; None does
    not, because an old site file must still be good for a report.
    Raises SiteErrors that lists everything wrong with the file.
    """
    return resolve(read(path), known_probes=known_probes, known_services=known_services, now=now)


def resolve(
    document: Document,
    *,
    known_probes: frozenset[str] | None = None,
    known_services: frozenset[str] | None = None,
    now: datetime | None = None,
) -> Site:
    """As `load`, for a file that has been read already."""
    checked = validate(document, SiteBlock, _STAND_INS)
    problems = list(checked.problems)
    if checked.model is not None:
        services = known_probes if known_services is None else known_services
        problems += compare(checked, checked.model)
        problems += vocabulary(checked, checked.model, known_probes, services)
        if now is not None:
            problems += past_windows(document, checked.model, now)
    if problems or checked.model is None:
        raise SiteErrors(_in_order(problems))
    return _site(checked.model, document.path.absolute())


def _in_order(problems: list[SiteError]) -> tuple[SiteError, ...]:
    """By line, each once: a level spread over seven FRs is one mistake."""
    once = {(problem.line, problem.message): problem for problem in reversed(problems)}
    return tuple(sorted(once.values(), key=lambda problem: (problem.line or 0, problem.message)))


# --- from blocks to the site -------------------------------------------------------------------


def _site(model: SiteBlock, path: Path) -> Site:
    folder = path.parent
    zones = tuple(_zone(model, block, folder) for block in model.zones)
    return Site(
        name=model.site,
        path=path,
        authorisation=_authorised(model.authorisation),
        windows=tuple(as_window(block) for block in model.windows),
        zones=zones,
        conduits=tuple(
            ConduitInfo(
                id=block.id,
                from_zone=block.source,
                to_zone=block.target,
                sl_t=_levels(block.sl_t),
                remote_access=block.remote_access,
                monitored_by=block.monitored_by,
                allow=_flows(block.allow),
            )
            for block in model.conduits
        ),
        backups=Backups(
            sources=tuple(
                BackupSource(id=block.id, kind=block.kind, path=folder / block.path)
                for block in model.backups.sources
            ),
            max_age={each: rule.max_age for each, rule in model.backups.policy.items()},
        ),
        services=tuple(
            OwnService(
                id=block.id,
                kind=block.kind,
                address=str(block.address),
                transport=block.transport,
                port=block.port,
            )
            for block in model.services
        ),
        attestations=None if model.attestations is None else folder / model.attestations,
        demands=Demands(
            session_timeout_max=model.policy.session_timeout_max,
            generic_accounts=model.policy.generic_accounts,
            max_age=model.policy.max_age,
            time_servers=model.policy.time_servers,
            log_targets=model.policy.log_targets,
        ),
        state=_state(model.state, path),
        notify=model.notify,
        _assets={
            address: asset
            for zone in zones
            for asset in zone.assets
            for address in asset.every_address
        },
        _zones={zone.id: zone for zone in zones},
    )


def _state(given: str | None, path: Path) -> str:
    if given is None:
        return str(path.with_suffix(".state.db"))
    return given if "://" in given else str(path.parent / given)


def _zone(model: SiteBlock, block: ZoneBlock, folder: Path) -> SiteZone:
    return SiteZone(
        id=block.id,
        name=block.name or block.id,
        purdue=block.purdue,
        networks=block.networks,
        exclude=block.exclude,
        sl_t=_levels(block.sl_t),
        tier=block.tier,
        profile=PROFILES[block.profile],
        window=block.window,
        probes=block.probes,
        ports=dict(block.ports),
        snmp_public=model.snmp_public if block.snmp_public is None else block.snmp_public,
        assets=tuple(_asset(block.id, asset, folder) for asset in block.assets),
    )


def _asset(zone: str, block: AssetBlock, folder: Path) -> SiteAsset:
    every = addresses_of(block)
    return SiteAsset(
        zone=zone,
        name=block.name,
        address=every[0] if every else None,
        addresses=every[1:],
        identity=Identity(
            vendor=block.vendor,
            model=block.model,
            order_number=block.order_number,
            hardware=block.hardware,
            firmware=block.firmware,
            serial=block.serial,
            # `name` is what the plant calls it; what the device calls itself is another matter.
        ),
        device_class=block.device_class,
        criticality=block.criticality,
        tier=block.tier,
        profile=None if block.profile is None else PROFILES[block.profile],
        probes=block.probes,
        ports=dict(block.ports),
        consent=block.consent,
        unit_ids=block.unit_ids,
        dnp3_addresses=block.dnp3_addresses,
        dnp3_master=block.dnp3_master,
        snmp_public=block.snmp_public,
        expected_services=_flows(block.expected_services or ()),
        login=_login(block.login, folder),
    )


def _login(block: LoginBlock | None, folder: Path) -> LoginReference | None:
    if block is None:
        return None
    return LoginReference(
        platform=block.platform,
        user=block.user,
        secret=_reference(block.secret, folder),
        host_key=block.host_key,
    )


def _authorised(block: AuthorisationBlock | None) -> Authorisation | None:
    if block is None:
        return None
    return Authorisation(
        reference=block.reference,
        owner=block.owner,
        contact=block.contact,
        valid_from=block.valid_from,
        valid_until=block.valid_until,
    )


def _reference(secret: str, folder: Path) -> str:
    kind, _, rest = secret.partition(":")
    return secret if kind == "env" else f"file:{folder / rest}"


def _levels(block: SlTargetBlock) -> dict[str, int]:
    return {key: int(getattr(block, key)) for key in FR_KEYS}


def _flows(blocks: tuple[FlowBlock, ...]) -> tuple[Flow, ...]:
    return tuple(
        Flow(protocol=block.protocol, transport=block.transport, port=block.port)
        for block in blocks
    )


def _loosenings(zone: SiteZone) -> Iterator[str]:
    if zone.profile.strictness > PROFILES["default"].strictness:
        yield f"Zone {zone.id} is paced by profile {zone.profile.name}: {_pace(zone.profile)}."
    if zone.tier.rank > Tier.IDENTIFY.rank:
        yield f"Zone {zone.id} is scanned in tier {zone.tier}, above identify."
    for asset in zone.assets:
        who = f"Asset {asset.label} in zone {zone.id}"
        profile = asset.profile
        if profile is not None and profile.strictness > PROFILES["default"].strictness:
            yield f"{who} is paced by profile {profile.name}: {_pace(profile)}."
        if asset.tier is not None and asset.tier.rank > Tier.IDENTIFY.rank:
            yield f"{who} is scanned in tier {asset.tier}, above identify."
        if asset.probes is not None:
            yield f"{who} lists its probes, so they are asked even if it is a controller."
        if "cleartext" in asset.consent:
            yield f"{who} may be sent credentials over protocols that do not encrypt."


def _pace(profile: Profile) -> str:
    if profile.packets_per_s is None:
        return "no cap on packets or connections per second (loopback only)"
    return (
        f"up to {profile.packets_per_s} packets to a device in any second, a connection every "
        f"{profile.connection_interval_s:g} s, {profile.zone_packets_per_s} packets in the zone"
    )
