from __future__ import annotations

import pytest

from checks.cleartext_management import CHECK
from scanner.facts import DeviceSettings, HttpFace, TelnetFace
from scanner.model import Outcome, Presence, Verdict

ANSWERED, REFUSED, SILENT = Outcome.ANSWERED, Outcome.REFUSED, Outcome.SILENT
LOGIN = HttpFace(scheme="http", status=401, asks_login=True)
SECURE_LOGIN = HttpFace(scheme="https", status=401, asks_login=True)
REDIRECT = HttpFace(scheme="http", status=301, redirects_to_https=True)
PLAIN_PAGE = HttpFace(scheme="http", status=200, asks_login=False, offers_controls=False)
UNCLEAR = HttpFace(scheme="http", status=500)
TELNET = TelnetFace(banner="login:")
OFF = DeviceSettings(platform="linux", telnet_enabled=False, http_enabled=False)
TELNET_ON = DeviceSettings(platform="linux", telnet_enabled=True)


@pytest.mark.parametrize(
    ("facts", "services", "verdict"),
    [
        ((TELNET,), {"telnet/23": ANSWERED, "http/80": REFUSED}, Verdict.FAIL),
        ((), {"telnet/23": ANSWERED, "http/80": REFUSED}, Verdict.FAIL),
        ((LOGIN,), {"telnet/23": REFUSED, "http/80": ANSWERED}, Verdict.FAIL),
        ((TELNET_ON,), {"telnet/23": SILENT, "http/80": REFUSED}, Verdict.FAIL),
        ((TELNET, OFF), {"telnet/23": ANSWERED}, Verdict.FAIL),
        ((SECURE_LOGIN,), {"telnet/23": REFUSED, "http/80": REFUSED}, Verdict.PASS),
        ((REDIRECT,), {"telnet/23": REFUSED, "http/80": ANSWERED}, Verdict.PASS),
        ((PLAIN_PAGE,), {"telnet/23": REFUSED, "http/80": ANSWERED}, Verdict.PASS),
        ((OFF,), {}, Verdict.PASS),
        ((UNCLEAR,), {"telnet/23": REFUSED, "http/80": ANSWERED}, Verdict.NOT_CHECKED),
        ((SECURE_LOGIN,), {"telnet/23": SILENT, "http/80": REFUSED}, Verdict.NOT_CHECKED),
        ((), {"telnet/23": REFUSED}, Verdict.NOT_CHECKED),
        ((), {"telnet/23": REFUSED, "http/80": Outcome.WITHHELD}, Verdict.NOT_CHECKED),
        ((), {}, Verdict.NOT_CHECKED),
    ],
)
def test_a_pass_needs_both_services_settled(site, make_asset, facts, services, verdict):
    (judgement,) = CHECK.judge(make_asset(*facts, services=services), site)

    assert judgement.verdict is verdict


def test_refusals_where_nobody_ever_answered_prove_nothing(site, make_asset):
    closed = {"telnet/23": REFUSED, "http/80": REFUSED}
    silent = make_asset(services=closed, presence=Presence.DECLARED_AND_SILENT)

    (judgement,) = CHECK.judge(silent, site)

    assert judgement.verdict is Verdict.NOT_CHECKED
