"""The YAML reader takes settings, remembers lines, and refuses everything else with a place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from scanner.errors import SiteError, SiteErrors
from scanner.yamlfile import MAX_BYTES, Block, did_you_mean, parse, read, validate

FILE = Path("x.yaml")


class Inner(Block):
    size: int = Field(description="how large")
    label: str = "none"


class Outer(Block):
    name: str
    rows: tuple[Inner, ...] = ()
    table: dict[str, Inner] = Field(default_factory=dict)
    maybe: Inner | None = None


def problems(text: str) -> tuple[tuple[int | None, str, str], ...]:
    with pytest.raises(SiteErrors) as caught:
        parse(text, FILE)
    return tuple((each.line, each.message, each.hint) for each in caught.value.errors)


def test_values_stay_the_text_that_was_written() -> None:
    document = parse("a: 2.10\nb: 007\nc: yes\nd: 2026-11-20T18:00:00+01:00\ne: 0x1F\n", FILE)

    assert document.root == {
        "a": "2.10", "b": "007", "c": "yes", "d": "2026-11-20T18:00:00+01:00", "e": "0x1F",
    }  # fmt: skip


def test_only_an_unquoted_null_is_nothing() -> None:
    document = parse("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n", FILE)

    assert document.root == {"a": None, "b": None, "c": None, "d": "null", "e": ""}


def test_every_place_has_its_line() -> None:
    document = parse("a: 1\nrows:\n  - size: 1\n  - size: 2\n    label: x\nlast: [p,\n  q]\n", FILE)

    assert document.line(("a",)) == 1
    assert document.line(("rows", 1, "label")) == 5
    assert document.line(("last", 1)) == 7
    assert document.line(("rows", 1, "absent")) == 4
    assert document.line(("absent",)) == 1


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: *x\n", 2, "aliases"),
        ("a: &x 1\n", 1, "anchors"),
        ("a: 1\nb: &x [1]\n", 2, "anchors"),
        ("a: !!python/object:os.system {}\n", 1, "tags"),
        ("a: !thing 1\n", 1, "tags"),
        ("%YAML 1.1\n---\na: 1\n", 2, "directives"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("? [a]\n: b\n", 1, "a key must be text"),
        ("a: [1\nb: 2\n", 2, "not valid YAML"),
        ("a: 'x\n", 2, "not valid YAML"),
        ("a:\n\t- x\n", 2, "not valid YAML"),
    ],
)
def test_what_is_no_plain_settings_file_is_refused_with_its_line(
    text: str, line: int, said: str
) -> None:
    (found,) = problems(text)

    assert said in found[1]
    assert found[0] == line


def test_a_billion_laughs_is_refused_at_its_first_anchor() -> None:
    text = "a: &a [x,x]\n" + "".join(f"k{i}: &k{i} [*a,*a]\n" for i in range(50))

    assert [line for line, _, _ in problems(text)] == [1]


def test_a_key_given_twice_names_both_lines() -> None:
    assert problems("a: 1\nb: {c: 1,\n  c: 2}\na: 3\n") == (
        (3, "the key 'c' is given twice", "the first is in line 2; keep one"),
        (4, "the key 'a' is given twice", "the first is in line 1; keep one"),
    )


def test_depth_is_bounded() -> None:
    (found,) = problems("[" * 5000)

    assert "nested deeper" in found[1]


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))

    with pytest.raises(SiteErrors, match="larger than"):
        read(file)


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    file = tmp_path / "full.yaml"
    file.write_bytes(b"a: 1\n#".ljust(MAX_BYTES, b"x"))

    assert read(file).root == {"a": "1"}


def test_a_missing_file_a_folder_and_another_encoding_are_clear_errors(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")

    with pytest.raises(SiteErrors, match="cannot be read"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(SiteErrors, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(SiteErrors, match=r"latin.yaml:2: is not UTF-8"):
        read(latin)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert read(file).root == {"a": "1"}


PIECES = (
    *"{}[]:,-?!&*|>%@`'\"#~\n \t\ra1\x00\ufeff\u2028", "- ", ": ", "---", "...", "<<", "\n  ",
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from(PIECES),
            max_size=60,
        ).map("".join),
    )
)
def test_any_text_is_a_document_or_a_clear_error(text: str) -> None:
    errors: tuple[SiteError, ...] = ()
    document = None
    try:
        document = parse(text, FILE)
    except SiteErrors as caught:
        errors = caught.errors

    assert bool(errors) is (document is None)
    assert all(error.path == FILE and error.message for error in errors)


# --- models ------------------------------------------------------------------------------------


def test_all_problems_are_found_at_once_each_with_its_line() -> None:
    document = parse("name: x\nrows:\n  - {size: a}\n  - {lable: y}\nextra: 1\n", FILE)

    checked = validate(document, Outer)

    assert {(each.line, each.message) for each in checked.problems} == {
        (3, "size: expected a whole number"),
        (4, "the key 'size' is missing"),
        (4, "unknown key 'lable'"),
        (5, "unknown key 'extra'"),
    }


def test_an_unknown_key_in_a_nested_block_gets_the_nearest_key_of_that_block() -> None:
    document = parse("name: x\nrows: [{size: 1, lable: y}]\ntable: {t: {siz: 1}}\n", FILE)

    hints = {each.message: each.hint for each in validate(document, Outer).problems}

    assert hints["unknown key 'lable'"] == "did you mean 'label'?"
    assert hints["unknown key 'siz'"] == "did you mean 'size'?"


def test_what_remains_after_a_cut_still_knows_its_place_in_the_file() -> None:
    document = parse("name: x\nrows:\n  - {size: a}\n  - {size: 2}\n", FILE)

    checked = validate(document, Outer)

    assert checked.model is not None
    assert [row.size for row in checked.model.rows] == [2]
    assert checked.model.rows[0].place == ("rows", 1)
    assert document.line(checked.model.rows[0].place) == 4
    assert checked.damaged(("rows", 0))
    assert not checked.damaged(("rows", 1))
    assert checked.item(("rows",), 0) == ("rows",)


def test_a_stand_in_keeps_a_block_but_not_its_problem() -> None:
    document = parse("rows: [{size: a, label: kept}]\n", FILE)

    checked = validate(document, Outer, {"name": "?", "size": "0"})

    assert checked.model is not None
    assert checked.model.rows[0].label == "kept"
    assert len(checked.problems) == 2


@pytest.mark.parametrize("text", ["", "# only a comment\n", "just text", "[1, 2]", "null"])
def test_a_file_without_keys_is_a_clear_error(text: str) -> None:
    checked = validate(parse(text, FILE), Outer)

    assert checked.model is None
    assert [each.message for each in checked.problems] == ["expected keys with values"]


def test_a_list_where_a_block_belongs_is_a_clear_error() -> None:
    checked = validate(parse("name: x\nmaybe: [1]\nrows: {a: 1}\n", FILE), Outer)

    assert {(each.line, each.message) for each in checked.problems} == {
        (2, "maybe: expected keys with values"),
        (3, "rows: expected a list, as in [a, b]"),
    }


def test_a_hint_names_the_nearest_word_or_all_of_them() -> None:
    assert did_you_mean("modbuss", {"modbus", "s7"}) == "did you mean 'modbus'?"
    assert did_you_mean("zzz", {"modbus", "s7"}) == "known are: modbus, s7"
    assert did_you_mean("zzz", set()) == "none is defined"
