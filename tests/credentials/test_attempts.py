from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.attempts import (
    MAX_FAILURES_PER_ACCOUNT,
    MAX_FAILURES_PER_DEVICE,
    SERVICES,
    WINDOW,
    decide,
    forbidden,
    is_safety_controller,
    policy,
)
from scanner.model import Identity
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


def ask(*rows, account="admin", service="ssh", profile="default", safety_controller=False):
    return decide(
        rows,
        service=service,
        account=account,
        now=NOW,
        profile=profile,
        safety_controller=safety_controller,
    )


def test_a_first_attempt_is_allowed_at_once():
    decision = ask()

    assert decision.allowed
    assert decision.wait_s == 0


@pytest.mark.parametrize("outcome", ["rejected", "pending"])
def test_two_failures_close_an_account_for_a_day(outcome):
    assert ask(tried(1, outcome=outcome)).allowed
    assert ask(tried(1, outcome=outcome), tried(2, outcome=outcome)).reason == "ledger"
    assert ask(tried(1, outcome=outcome), tried(24.01, outcome=outcome)).allowed


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
    assert 0 <= decision.wait_s <= 60


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
