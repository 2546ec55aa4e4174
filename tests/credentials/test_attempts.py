from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.attempts import (
    ANONYMOUS,
    ANONYMOUS_ONLY,
    ATTEMPT_S,
    MAX_FAILURES_PER_ACCOUNT,
    MAX_FAILURES_PER_DEVICE,
    SERVICES,
    WINDOW,
    decide,
    forbidden,
    is_safety_controller,
    policy,
    sudden_delay,
)
from scanner.facts import DeviceIdentity
from scanner.model import Identity
from scanner.profiles import FRAGILE, LAB
from scanner.state import Attempt, AttemptLedger, AttemptOutcome, SiteState

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def tried(hours_ago=1.0, account="admin", outcome="rejected", service="ssh"):
    return Attempt(
        zone="cell",
        address="10.0.0.5",
        at=NOW - timedelta(hours=hours_ago),
        service=service,
        account=account,
        outcome=AttemptOutcome(outcome),
        sign=None,
    )


def ask(*rows, account="admin", service="ssh", profile="default", safety_controller=False, **more):
    return decide(
        rows,
        service=service,
        account=account,
        now=NOW,
        profile=profile,
        safety_controller=safety_controller,
        **more,
    )


def test_a_first_attempt_is_allowed_at_once():
    decision = ask()

    assert decision.allowed
    assert decision.wait_s == 0


@pytest.mark.parametrize("outcome", ["rejected", "pending"])
def test_two_failures_close_an_account(outcome):
    assert ask(tried(1, outcome=outcome)).allowed
    assert ask(tried(1, outcome=outcome), tried(2, outcome=outcome)).reason == "ledger"


@pytest.mark.parametrize("outcome", ["rejected", "pending", "locked"])
def test_two_failures_in_a_row_are_not_forgotten_by_the_day(outcome):
    old = tried(24 * 30, outcome=outcome), tried(24 * 60, outcome=outcome)

    assert ask(*old).reason == "ledger"
    assert ask(*old, account="other").allowed
    assert ask(*old[:1]).allowed
    assert ask(*old, tried(24 * 10, outcome="accepted")).allowed
    assert ask(*old, tried(24 * 40, outcome="accepted")).allowed
    assert ask(tried(24 * 366), tried(24 * 367)).allowed


@pytest.mark.parametrize(
    ("threshold", "failures", "reason"),
    [
        (None, 1, None),
        (5, 1, None),
        (4, 1, None),
        (4, 2, "ledger"),
        (3, 0, None),
        (3, 1, "ledger"),
        (2, 0, "policy"),
        (1, 0, "policy"),
    ],
)
def test_a_threshold_that_was_read_leaves_the_operator_a_failure(threshold, failures, reason):
    rows = [tried(1 + n) for n in range(failures)]

    assert ask(*rows, lockout_after=threshold).reason == reason


HERE = frozenset({"10.0.0.5"})


def far(outcome="rejected", minutes=30.0, account="admin", n=9):
    return replace(tried(minutes / 60, account, outcome), address=f"10.0.0.{n}")


def test_a_site_wide_account_refused_twice_anywhere_is_not_tried_on():
    assert ask(far(), addresses=HERE).allowed
    assert ask(far(), far(n=8), addresses=HERE).reason == "ledger"
    assert ask(far(), tried(1), addresses=HERE).reason == "ledger"
    assert ask(far(), far(n=8), account="other", addresses=HERE).allowed
    assert ask(far(), far(n=8), far("accepted", 5, n=7), addresses=HERE).allowed
    assert ask(far("pending"), far("locked", n=8), addresses=HERE).reason == "ledger"


def test_a_site_wide_account_refused_twice_waits_for_another_secret():
    old = [replace(far(minutes=60 * 24 * 9, n=n), service="ssh/22#aaaa") for n in (7, 8)]
    new = replace(far(n=9), service="ssh/22#bbbb")

    assert ask(*old, addresses=HERE, service="ssh/22#aaaa").reason == "ledger"
    assert ask(*old, addresses=HERE, service="ssh/22#bbbb").allowed
    assert ask(*old, new, addresses=HERE, service="ssh/22#bbbb").allowed
    today = [replace(row, at=NOW - timedelta(hours=1)) for row in old]
    assert ask(*today, addresses=HERE, service="ssh/22#bbbb").reason == "ledger"
    here = [replace(row, address="10.0.0.5") for row in old]
    assert ask(*here, addresses=HERE, service="ssh/22#aaaa").reason == "ledger"
    assert ask(*here, addresses=HERE, service="ssh/22#bbbb").allowed


def test_an_attempt_without_an_end_may_have_been_made_late():
    assert ask(tried(30 / 3600, "other", "pending")).wait_s == pytest.approx(60 + ATTEMPT_S - 30)
    assert ask(tried(30 / 3600, "other", "rejected")).wait_s == pytest.approx(30)


def test_a_site_wide_account_is_tried_on_one_device_first():
    first = far("pending", 0.1)

    assert ask(first, addresses=HERE).wait_s == 5
    assert ask(first, far("accepted", 10, n=8), addresses=HERE).wait_s == 0
    assert ask(far("pending", 4), addresses=HERE).wait_s == 0  # it ended without saying how


@pytest.mark.parametrize(
    ("usual", "took", "profile", "sudden"),
    [
        (0.1, 0.4, LAB, False),
        (0.1, 2.0, LAB, False),
        (0.1, 2.2, LAB, True),
        (2.0, 9.0, LAB, False),
        (2.0, 10.5, LAB, True),
        (0.1, 6.0, FRAGILE, False),
        (0.1, 8.0, FRAGILE, True),
        (0.1, -5.0, LAB, False),
    ],
)
def test_a_refusal_much_slower_than_the_first_is_sudden(usual, took, profile, sudden):
    assert sudden_delay(usual, took, profile) is sudden


def test_an_account_counts_over_all_services_and_in_any_case():
    rows = (tried(1, service="http", account="Admin"), tried(2, service="telnet"))

    assert ask(*rows, service="ssh").reason == "ledger"


def test_four_failures_close_a_device_whatever_the_accounts():
    rows = [tried(n + 1, account=f"user{n}") for n in range(4)]

    assert ask(*rows[:3], account="new").allowed
    assert ask(*rows, account="new").reason == "ledger"


def test_accepted_attempts_are_no_failures():
    assert ask(*(tried(n + 1, outcome="accepted") for n in range(6))).allowed


def test_a_lockout_sign_ends_all_attempts_on_the_device():
    decision = ask(tried(3, account="other", outcome="locked", service="http"))

    assert decision.reason == "locked"
    assert decision.words


@pytest.mark.parametrize(("profile", "spacing"), [("default", 60), ("robust", 60), ("lab", 1)])
def test_attempts_keep_their_distance_whatever_the_account(profile, spacing):
    half = tried(spacing / 2 / 3600, account="other", outcome="accepted")

    assert ask(half, profile=profile).wait_s == pytest.approx(spacing / 2)
    assert ask(tried(spacing / 3600, outcome="accepted"), profile=profile).wait_s == 0


def test_a_clock_that_was_set_back_counts_against_the_attempt():
    future = tried(-48)

    assert ask(future, future).reason == "ledger"
    assert ask(future).wait_s == 60


@pytest.mark.parametrize("service", ["s7", "umas", "modbus", "enip", "smb", "winrm", "", "ftp/21"])
def test_program_passwords_and_other_services_are_never_tried(service):
    assert ask(service=service).reason == "policy"


@pytest.mark.parametrize("service", sorted(ANONYMOUS_ONLY))
def test_some_services_are_tried_without_a_password_only(service):
    assert ask(service=f"{service}/1", account=ANONYMOUS).allowed
    assert ask(service=f"{service}/1", account="admin").reason == "policy"
    assert ask(service=f"{service}/1", account=ANONYMOUS, safety_controller=True).reason == "policy"


@pytest.mark.parametrize("service", ["http", "https", "ssh/22", "telnet:23", "SNMP 161"])
def test_services_with_an_administrators_account_may_be_tried(service):
    assert ask(service=service).allowed


@pytest.mark.parametrize("account", ["PLANT\\admin", "admin@plant.local"])
def test_domain_accounts_are_never_tried(account):
    assert ask(account=account).reason == "policy"


def test_safety_controllers_are_never_logged_in_to():
    assert ask(safety_controller=True).reason == "policy"


@pytest.mark.parametrize(
    "identity",
    [
        Identity(vendor="Siemens", model="CPU 315F-2 PN/DP"),
        Identity(vendor="Siemens", model="CPU 1516F-3 PN/DP"),
        Identity(vendor="Schneider Electric", model="Triconex Tricon CX"),
        Identity(vendor="HIMA", model="HIMatrix F30"),
        Identity(vendor="Rockwell Automation", model="1756-L72S GuardLogix"),
        Identity(vendor="Yokogawa", model="ProSafe-RS"),
        Identity(vendor="Pilz", model="PNOZmulti 2"),
        Identity(name="SIS-01"),
        Identity(name="Burner safety PLC"),
    ],
)
def test_safety_controllers_are_recognised_by_any_name(identity):
    assert is_safety_controller(identity)


def test_one_name_of_many_is_enough_for_a_safety_controller():
    told = (
        DeviceIdentity(model="S7-1500"),
        DeviceIdentity(sub_address="slot 3", model="CPU 1516F"),
    )

    assert is_safety_controller(*told)
    assert not is_safety_controller(told[0])
    assert not is_safety_controller()


@pytest.mark.parametrize(
    "identity",
    [
        Identity(),
        Identity(vendor="Siemens", model="CPU 315-2 PN/DP", order_number="6ES7 315-2EH14-0AB0"),
        Identity(vendor="Siemens", model="SCALANCE S615"),
        Identity(vendor="Moxa", model="EDS-408A"),
        Identity(vendor="WAGO", model="750-8210"),
        Identity(vendor="Rockwell Automation", model="1756-L71"),
    ],
)
def test_other_devices_are_not_taken_for_safety_controllers(identity):
    assert not is_safety_controller(identity)


rows_of = st.lists(
    st.builds(
        Attempt,
        zone=st.just("cell"),
        address=st.just("10.0.0.5"),
        sign=st.none(),
        at=st.integers(-3600 * 30, 3600 * 30).map(lambda s: NOW + timedelta(seconds=s)),
        service=st.sampled_from(sorted(SERVICES)),
        account=st.sampled_from(["a", "b", "c", "d"]),
        outcome=st.sampled_from(AttemptOutcome),
    ),
    max_size=12,
)


@given(rows=rows_of, account=st.sampled_from(["a", "b", "e"]))
def test_whatever_the_ledger_holds_the_limits_are_never_passed(rows, account):
    decision = ask(*rows, account=account)

    recent = [row for row in rows if NOW - row.at < WINDOW]
    failed = [row for row in recent if row.outcome != "accepted"]
    if decision.allowed:
        assert len(failed) < MAX_FAILURES_PER_DEVICE
        assert sum(row.account == account for row in failed) < MAX_FAILURES_PER_ACCOUNT
        assert not any(row.outcome == "locked" for row in recent)
        newest = max((row.at for row in recent), default=NOW - WINDOW)
        assert NOW + timedelta(seconds=decision.wait_s) >= min(newest, NOW) + timedelta(seconds=60)
    assert 0 <= decision.wait_s <= 60 + ATTEMPT_S


@given(rows=rows_of, order=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_makes_no_difference(rows, order):
    shuffled = list(rows)
    order.shuffle(shuffled)

    assert ask(*rows) == ask(*shuffled)


@given(service=st.text(max_size=20), account=st.text(max_size=20))
def test_any_service_and_account_gets_a_word(service, account):
    words = forbidden(service, account, safety_controller=False)

    assert words is None or words


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        ((), 0.0),
        ((tried(0, outcome="accepted"),), 60.0),
        ((tried(1), tried(2)), "ledger"),
        ((tried(1, outcome="locked"),), "locked"),
    ],
)
def test_the_ledger_is_told_in_its_own_form(rows, answer):
    ask_ledger = policy(profile="default", safety_controller=False)

    assert ask_ledger(rows, NOW, "ssh/22", "admin") == answer


async def test_the_real_ledger_stops_after_two_failures_also_in_a_later_run(tmp_path):
    for run in range(2):
        with SiteState.open(str(tmp_path / "site.state.db")) as state:
            clock = [NOW + timedelta(hours=run)]

            async def sleep(seconds, clock=clock):
                clock[0] += timedelta(seconds=seconds)

            ledger = AttemptLedger(
                state,
                zone="cell",
                address="10.0.0.5",
                policy=policy(profile="default", safety_controller=False),
                now=lambda clock=clock: clock[0],
                sleep=sleep,
            )
            reasons = []
            for _ in range(2):
                reasons.append(await ledger.begin("ssh/22", "admin"))
                if reasons[-1] is None:
                    await ledger.ended("ssh/22", "admin", accepted=False)
            assert reasons == ([None, None] if run == 0 else ["ledger", "ledger"])
            assert clock[0] - NOW == timedelta(hours=run, seconds=60 if run == 0 else 0)
