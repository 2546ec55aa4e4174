from __future__ import annotations

from checks.knx_secure_off import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


def access(families: str, **fields: object) -> ServiceAccess:
    return ServiceAccess(protocol="knx", details=(("service families", families),), **fields)


def judged(fact: ServiceAccess, site) -> Verdict:
    (judgement,) = CHECK.judge(fact, site)
    return judgement.verdict


def test_security_that_is_switched_off_fails(site):
    fact = access("tunnelling 2, security 1", authentication=(), answers_without_login=True)

    assert judged(fact, site) is Verdict.FAIL


def test_security_for_only_some_of_the_services_fails(site):
    fact = access(
        "tunnelling 2, routing 2, security 1",
        authentication=("KNX IP Secure",),
        answers_without_login=True,
    )

    assert judged(fact, site) is Verdict.FAIL


def test_security_that_is_in_use_passes(site):
    fact = access("tunnelling 2, security 1", authentication=("KNX IP Secure",))

    assert judged(fact, site) is Verdict.PASS


def test_a_device_that_was_not_asked_is_not_judged(site):
    assert judged(access("tunnelling 2, security 1"), site) is Verdict.NOT_CHECKED


def test_a_device_without_security_is_no_case_for_it(site):
    fact = access("tunnelling 1", answers_without_login=True)

    assert judged(fact, site) is Verdict.NOT_APPLICABLE


def test_another_protocol_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="bacnet"), site) == ()
