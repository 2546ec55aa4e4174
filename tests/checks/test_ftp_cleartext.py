from __future__ import annotations

import pytest

from checks.ftp_cleartext import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("ways", "verdict"),
    [
        (("USER",), Verdict.FAIL),
        (("USER", "AUTH TLS"), Verdict.NOT_CHECKED),
        (("USER", "auth ssl"), Verdict.NOT_CHECKED),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_ftp_without_encryption_is_told_from_what_was_not_learned(site, ways, verdict):
    """It never passes: that would take a sign-in without encryption, which is not made."""
    (judgement,) = CHECK.judge(ServiceAccess(protocol="ftp", authentication=ways), site)

    assert judgement.verdict is verdict


def test_another_service_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="smb", authentication=("NTLM",)), site) == ()
