"""
The asset list as a CycloneDX 1.6 bill of materials: devices, and the firmware in them.

A device is a component of type `device` with its maker, its firmware a component of type `firmware`
inside it. There are no hashes, since nothing was read that could be hashed, no package URLs and no
CPE names, since none was told: what is not known is left out. Devices that only an imported list
names are left out too. Equal input gives equal bytes.

Source: CycloneDX 1.6 (ECMA-424), component types `device` and `firmware`; written by
cyclonedx-python-lib.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from reports.inert import ascii_json, visible
from scanner.model import Assessment, Asset, Presence

TEXT_LIMIT = 1000


def render(assessment: Assessment) -> bytes:
    # It takes a second to import, and most commands write no bill of materials.
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6

    def maker(asset: Asset) -> OrganizationalEntity | None:
        name = _text(asset.identity.vendor)
        return OrganizationalEntity(name=name) if name else None

    def properties(asset: Asset) -> list[Property]:
        identity = asset.identity
        told = {
            "zone": asset.zone,
            "address": asset.address,
            "sub_address": asset.sub_address,
            "class": str(asset.device_class),
            "name": asset.name,
            "own_name": identity.name,
            "order_number": identity.order_number,
            "hardware": identity.hardware,
            "serial": identity.serial,
            "presence": str(asset.presence),
            "known_from": ", ".join(asset.origins) or None,
        }
        return [
            Property(name=f"walkdown:{name}", value=text)
            for name, value in told.items()
            if (text := _text(value))
        ]

    def device(asset: Asset) -> Component:
        identity = asset.identity
        name = _text(identity.model or identity.order_number or asset.name) or "unknown device"
        version = _text(identity.firmware)
        inside = [
            Component(
                type=ComponentType.FIRMWARE,
                name=f"{name} firmware",
                version=version,
                bom_ref=_ref(f"firmware/{asset.id}"),
                manufacturer=maker(asset),
            )
        ]
        return Component(
            type=ComponentType.DEVICE,
            name=name,
            bom_ref=_ref(f"asset/{asset.id}"),
            manufacturer=maker(asset),
            components=inside if version else (),
            properties=properties(asset),
        )

    tool = Component(
        type=ComponentType.APPLICATION, name="walkdown", version=_text(assessment.run.version)
    )
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"urn:walkdown:{assessment.run.id}"),
        components=[
            device(asset) for asset in assessment.assets if asset.presence is not Presence.CLAIMED
        ],
        metadata=BomMetaData(
            timestamp=assessment.run.started_at,
            tools=ToolRepository(components=[tool]),
            properties=[
                Property(name="walkdown:site", value=_text(assessment.site)),
                Property(name="walkdown:run", value=_text(assessment.run.id)),
            ],
        ),
    )
    return ascii_json(JsonV1Dot6(bom).output_as_string(indent=2).encode()) + b"\n"


def _ref(text: str) -> str:
    """A reference that no text of a device can make two of, or break."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:walkdown:{text}')}"


def _text(text: str | None) -> str | None:
    return visible(text[:TEXT_LIMIT]).strip() or None if text else None
