"""The frame of the proof: counting in parts, going on, what fails it, and what is printed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.proof import __main__ as proof
from tests.proof import document
from tests.proof.promise import Measured, Promise, Setting, Tally, Unable, Work, in_chunks


def setting(tmp_path: Path) -> Setting:
    return Setting(
        size="ci", seed=1, state=tmp_path, walkdown=("walkdown",), captures=tmp_path,
        say=lambda words: None,
    )  # fmt: skip


def promise(number: int = 1, measure: object = None, ci: int = 10, full: int = 10) -> Promise:
    return Promise(
        number=number, title="t", target="0", counts={"ci": ci, "full": full},
        measure=measure,  # type: ignore[arg-type]
    )  # fmt: skip


def test_every_promise_of_the_contract_has_a_proof() -> None:
    assert [one.number for one in proof.promises()] == list(proof.ALL)


def test_tallies_add_up() -> None:
    one = Tally(cases=2, bad=1, figures={"s": 1.0, "n": 3}, sums={"hits": 2}, faults=("a",))
    other = Tally(cases=3, figures={"s": 2.0}, sums={"hits": 1, "more": 1}, faults=("b",))

    both = one + other

    assert (both.cases, both.bad, both.faults) == (5, 1, ("a", "b"))
    assert both.figures == {"s": 2.0, "n": 3}
    assert both.sums == {"hits": 3, "more": 1}
    assert Tally.of(json.loads(json.dumps(both.as_dict()))) == both


def test_a_part_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    log = tmp_path / "cases.jsonl"
    done: list[tuple[int, int]] = []

    def part(first: int, n: int) -> Tally:
        done.append((first, n))
        if first == 6 and len(done) == 3:
            raise KeyboardInterrupt
        return Tally(cases=n, sums={"first": first})

    with pytest.raises(KeyboardInterrupt):
        in_chunks(log, 8, 3, part, lambda words: None)
    with log.open("a", encoding="utf-8") as file:
        file.write('{"first": 6, "n": 2, "ta')  # cut off while it was written
    whole = in_chunks(log, 8, 3, part, lambda words: None)

    assert done == [(0, 3), (3, 3), (6, 2), (6, 2)]
    assert whole == Tally(cases=8, sums={"first": 9})


def test_what_is_missing_fails_and_is_never_skipped(tmp_path: Path) -> None:
    def unable(work: Work) -> Measured:
        raise Unable("no tshark: install it")

    def broken(work: Work) -> Measured:
        raise ValueError("a bug")

    for measure, words in ((unable, "no tshark"), (broken, "ValueError: a bug")):
        measured = proof.measure(promise(measure=measure), setting(tmp_path))
        assert not measured.passed
        assert words in measured.note
        assert "FAIL" in proof.line(proof.measured(promise(measure=measure), setting(tmp_path)))


def test_a_promise_whose_time_is_over_tells_how_far_it_came(tmp_path: Path) -> None:
    def part(first: int, n: int) -> Tally:
        return Tally(cases=n)

    def measure(work: Work) -> Measured:
        done = work.in_chunks(3, part)
        return Measured(passed=done.cases >= work.least, value="", cases=done.cases, note="and so")

    one = promise(measure=measure, ci=2, full=9)
    brief = replace(setting(tmp_path), size="full", longest_s=0.0)
    row = proof.measured(one, brief)
    assert (row["cases"], row["note"]) == (3, "3 of 9: the time given was over; and so")
    assert row["passed"]
    assert proof.measured(one, brief)["cases"] == 6, "the next sitting goes on"


def test_a_part_with_fewer_cases_than_asked_for_is_done_all_the_same(tmp_path: Path) -> None:
    def measure(work: Work) -> Measured:
        done = work.in_chunks(5, lambda first, n: Tally(cases=1))
        return Measured(passed=True, value="", cases=done.cases)

    assert proof.measured(promise(measure=measure), setting(tmp_path))["note"] == ""


def test_what_no_load_can_spoil_is_measured_beside_the_rest(tmp_path: Path) -> None:
    with proof.aside((), tmp_path) as told:
        assert told() == []
    beside = {one.number for one in proof.promises() if one.aside}
    assert beside >= {19, 22, 24, 28}
    assert not beside & {*range(1, 13), 15, 16, 18, 21}, "these measure time"


def test_the_bound_is_told_only_where_nothing_bad_was_seen() -> None:
    good = Measured(passed=True, value="0", cases=1000)
    assert good.bound == "0 of 1,000: below 0.003 (95 %)"
    assert Measured(passed=False, value="1", cases=1000, bad=1).bound == ""
    assert Measured(passed=True, value="all", cases=0).bound == ""


def test_numbers_of_promises_are_read() -> None:
    assert proof.chosen("1-3,15") == {1, 2, 3, 15}
    assert proof.chosen("") == set(range(1, 31))


@pytest.mark.parametrize("only", ["99", "abc", "1-", "0", "-3", "3-99"])
def test_what_is_no_number_of_a_promise_is_refused(
    only: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["prove.py", f"--only={only}"])

    with pytest.raises(SystemExit) as ended:
        proof.arguments()

    assert ended.value.code == 2
    assert "argument --only" in capsys.readouterr().err


def test_without_root_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["prove.py"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(SystemExit, match=r"^the proof needs root: [^\n]*$"):
        proof.main()


MEASURING = {"seed": 1, "size": "ci", "scanner": "watched.py", "product": "aa"}


def test_parts_are_gone_on_with_by_what_they_were_begun_with(tmp_path: Path) -> None:
    assert not proof.gone_on_with(tmp_path, MEASURING, mixed=False)
    assert not proof.gone_on_with(tmp_path, MEASURING, mixed=False)


@pytest.mark.parametrize(("name", "other"), [("seed", 2), ("size", "full"), ("scanner", "x.py")])
def test_parts_of_another_seed_size_or_scanner_are_refused(
    tmp_path: Path, name: str, other: object
) -> None:
    proof.gone_on_with(tmp_path, MEASURING, mixed=False)

    for mixed in (False, True):
        with pytest.raises(SystemExit, match=f"measured with {name} "):
            proof.gone_on_with(tmp_path, {**MEASURING, name: other}, mixed=mixed)


def test_parts_of_another_state_of_the_code_are_told_apart_for_good(tmp_path: Path) -> None:
    changed = {**MEASURING, "product": "bb"}
    proof.gone_on_with(tmp_path, MEASURING, mixed=False)

    with pytest.raises(SystemExit, match="another state of the code"):
        proof.gone_on_with(tmp_path, changed, mixed=False)
    assert proof.gone_on_with(tmp_path, changed, mixed=True)
    assert proof.gone_on_with(tmp_path, changed, mixed=False), "told in every later table"


def test_parts_of_which_nothing_is_known_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p22").mkdir()

    with pytest.raises(SystemExit, match="does not say"):
        proof.gone_on_with(tmp_path, MEASURING, mixed=False)


def test_the_result_names_commit_day_and_whether_the_code_was_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(work: Work) -> Measured:
        return Measured(passed=True, value="0", cases=1)

    monkeypatch.setattr(proof, "promises", lambda: (promise(measure=measure),))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    words = ["prove.py", "--only", "1", "--state", str(tmp_path)]
    for digest, more in (("aa", []), ("bb", ["--mixed"])):
        monkeypatch.setattr(proof, "digest_of_product", lambda digest=digest: digest)
        monkeypatch.setattr("sys.argv", [*words, *more])
        assert proof.main() == 0
        result = json.loads((tmp_path / "proof.json").read_text())
        assert result["mixed"] is bool(more)
        assert (proof.MIXED in capsys.readouterr().out) is bool(more)

    assert result["commit"] == proof.commit()
    assert date.fromisoformat(result["date"])


def test_a_changed_file_of_the_product_is_another_state_of_the_code(tmp_path: Path) -> None:
    for name in proof.PRODUCT:
        (tmp_path / name).mkdir()
    before = proof.digest_of_product(tmp_path)
    (tmp_path / "probes" / "new.py").write_text("x = 1\n")
    one = proof.digest_of_product(tmp_path)
    (tmp_path / "probes" / "__pycache__").mkdir()
    (tmp_path / "probes" / "__pycache__" / "new.pyc").write_bytes(b"x")

    assert before != one == proof.digest_of_product(tmp_path)


def test_a_folder_that_several_need_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []
    for number in (1, 2):
        work = Work(promise=promise(number), setting=setting(tmp_path))
        assert work.shared("matrix", made.append) == tmp_path / "shared" / "matrix"
    assert len(made) == 1


def test_a_row_of_the_document_cannot_break_its_table() -> None:
    assert document.row("a|b", "c\nd") == "| a\\|b | c d |\n"


def test_the_document_shows_what_was_measured_last() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    results = json.loads(document.RESULTS.read_text(encoding="utf-8"))

    assert document.written(text, results) == text, "python -m tests.proof.document"


def test_a_table_keeps_what_is_not_measured_anew(tmp_path: Path) -> None:
    assert proof.kept_rows(tmp_path, {1}) == []
    rows = [{"number": number, "value": str(number)} for number in (1, 2, 9)]
    (tmp_path / "proof.json").write_text(json.dumps({"promises": rows}))

    assert [row["number"] for row in proof.kept_rows(tmp_path, {2, 30})] == [1, 9]
