from __future__ import annotations

import pytest

from checks.vnc_no_login import CHECK
from scanner.facts import VncFace
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("types", "refused", "verdict"),
    [
        (("None",), None, Verdict.FAIL),
        (("VNC Authentication", "None"), None, Verdict.FAIL),
        (("Tight", "None"), None, Verdict.FAIL),
        (("VNC Authentication",), None, Verdict.PASS),
        (("RA2", "RA2ne"), None, Verdict.PASS),
        (("VNC Authentication", "Tight"), None, Verdict.NOT_CHECKED),
        (("VeNCrypt",), None, Verdict.NOT_CHECKED),
        (("type 99",), None, Verdict.NOT_CHECKED),
        ((), None, Verdict.NOT_CHECKED),
        (None, None, Verdict.NOT_CHECKED),
        (None, "Too many security failures", Verdict.NOT_CHECKED),
    ],
)
def test_vnc_without_a_login_is_told_from_a_pass_and_from_what_was_not_learned(
    site, types, refused, verdict
):
    fact = VncFace(version="003.008", security_types=types, refused=refused)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
