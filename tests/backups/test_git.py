from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from scanner.backups import git
from scanner.errors import UsageError

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")

DAY = 86_400
POLICY = {"switch": 7 * DAY}


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "configs")


class Repository:
    """A repository made with git itself, each commit at a time of its own."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments, at="2026-11-19T12:00:00Z"):
        environment = git.clean(os.environ) | {
            "GIT_AUTHOR_DATE": at,
            "GIT_COMMITTER_DATE": at,
            "GIT_AUTHOR_NAME": "n",
            "GIT_AUTHOR_EMAIL": "e",
            "GIT_COMMITTER_NAME": "n",
            "GIT_COMMITTER_EMAIL": "e",
        }
        subprocess.run(["git", *arguments], cwd=self.path, env=environment, check=True)

    def commit(self, files, *, at):
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x", at=at)


@pytest.fixture
def read(repository, now):
    def read(*assets, policy=POLICY, run=git.start, normalise=None, environment=os.environ):
        records = git.read(
            repository.path,
            source="oxidized",
            assets=assets,
            policy=policy,
            now=now,
            run=run,
            environment=environment,
            normalise=normalise,
        )
        return [records.get(asset.id) for asset in assets]

    return read


def test_a_backup_is_as_old_as_the_last_commit_that_touched_it(repository, read, make_asset):
    repository.commit({"sw-01/a.cfg": b"one", "sw-01/b.cfg": b"b"}, at="2026-11-01T12:00:00Z")
    repository.commit({"sw-01/a.cfg": b"two"}, at="2026-11-18T12:00:00Z")
    repository.commit({"other/x.cfg": b"x"}, at="2026-11-19T12:00:00Z")

    (record,) = read(make_asset())

    assert (record.found, record.path) == (True, "sw-01/a.cfg")
    assert record.taken_at == datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
    assert record.age_s == 2 * DAY


def test_after_files_were_taken_away_the_newest_that_is_left_counts(repository, read, make_asset):
    repository.commit({"sw-01/a.cfg": b"a"}, at="2026-11-01T12:00:00Z")
    repository.commit({"sw-01/b.cfg": b"b"}, at="2026-11-10T12:00:00Z")
    repository.commit({"sw-01/c.cfg": b"c"}, at="2026-11-11T12:00:00Z")
    repository.commit({"sw-01/c.cfg": None}, at="2026-11-19T12:00:00Z")

    (record,) = read(make_asset())

    assert (record.path, record.age_s) == ("sw-01/b.cfg", 10 * DAY)


@pytest.mark.parametrize("path", ["sw-01", "sw-01.cfg", "10.0.0.5", "cell/sw-01.txt"])
def test_one_file_per_device_is_understood(repository, read, make_asset, path):
    repository.commit({path: b"hostname sw-01"}, at="2026-11-19T12:00:00Z")

    (record,) = read(make_asset())

    assert (record.path, record.age_s) == (path, DAY)


def test_what_is_only_in_the_working_tree_is_no_backup(repository, read, make_asset):
    repository.commit({"other/x.cfg": b"x"}, at="2026-11-19T12:00:00Z")
    (repository.path / "sw-01").mkdir()
    (repository.path / "sw-01" / "new.cfg").write_bytes(b"not committed")

    (record,) = read(make_asset())

    assert record.found is False


def test_links_in_the_repository_are_no_backups(repository, read, make_asset):
    (repository.path / "sw-01").mkdir()
    (repository.path / "sw-01" / "a.cfg").symlink_to("/etc/passwd")
    repository.commit({"x": b"x"}, at="2026-11-19T12:00:00Z")

    (record,) = read(make_asset())

    assert record.found is False


@pytest.mark.parametrize("broken", [False, True])
def test_the_list_of_hashes_is_checked_against_the_committed_bytes(
    repository, read, make_asset, broken
):
    digest = hashlib.sha256(b"other" if broken else b"one").hexdigest()
    repository.commit(
        {"sw-01/a.cfg": b"one", "sw-01/manifest.sha256": f"{digest}  a.cfg\n".encode()},
        at="2026-11-19T12:00:00Z",
    )

    (record,) = read(make_asset())

    assert record.manifest_ok is not broken


def test_nothing_in_the_repositorys_own_settings_is_run(repository, read, make_asset, tmp_path):
    """Hooks, pagers, monitors, signature helpers and filters of a hostile repository stay off."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    repository.commit({"sw-01/a.cfg": b"one"}, at="2026-11-19T12:00:00Z")
    for setting in ("core.fsmonitor", "core.pager", "gpg.program", "diff.external", "core.askpass",
                    "core.sshCommand", "filter.x.smudge", "diff.x.textconv"):  # fmt: skip
        repository.git("config", setting, str(trap))
    repository.git("config", "log.showSignature", "true")
    (repository.path / ".git" / "info" / "attributes").write_text("* filter=x diff=x\n")
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        shutil.copy(trap, repository.path / ".git" / "hooks" / hook)

    (record,) = read(make_asset())

    assert record.found
    assert not (tmp_path / "sprung").exists()


def test_git_hears_nothing_of_this_processs_git_settings(repository, read, make_asset, tmp_path):
    repository.commit({"sw-01/a.cfg": b"one"}, at="2026-11-19T12:00:00Z")
    hostile = dict(os.environ) | {
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.pager",
        "GIT_CONFIG_VALUE_0": "false",
    }

    (record,) = read(make_asset(), environment=hostile)

    assert record.found
    assert not (tmp_path / "trace").exists()


def test_only_reading_commands_are_run(repository, read, make_asset):
    repository.commit({"sw-01/a.cfg": b"one", "sw-01/b.cfg": b"2"}, at="2026-11-19T12:00:00Z")
    verbs = []

    def spy(command, environment):
        verbs.append(command[command.index("-C") + 2])
        assert not any(name.startswith("GIT_DIR") for name in environment)
        return git.start(command, environment)

    read(make_asset(), run=spy)

    assert set(verbs) <= {"ls-tree", "log", "diff-tree", "cat-file"}


@pytest.mark.parametrize("kind", ["empty", "no repository", "gone"])
def test_a_source_that_is_no_repository_is_a_clear_error(tmp_path, now, kind):
    place = tmp_path / "x"
    if kind != "gone":
        place.mkdir()
    if kind == "empty":
        subprocess.run(["git", "init", "-q", str(place)], check=True)

    with pytest.raises(UsageError):
        git.read(
            place,
            source="s",
            assets=(),
            policy={},
            now=now,
            run=git.start,
            environment=os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)},
        )


def test_a_missing_git_says_what_to_do():
    with pytest.raises(UsageError, match="is it installed"):
        git.start(["/nonexistent/git"], {})


def test_names_that_look_like_options_or_patterns_are_only_names(repository, read, make_asset):
    repository.commit({"--all/a.cfg": b"1", "[ab]/a.cfg": b"2"}, at="2026-11-01T12:00:00Z")
    repository.commit({"a/a.cfg": b"3"}, at="2026-11-19T12:00:00Z")

    first, second = read(make_asset("--all", "10.0.0.1"), make_asset("[ab]", "10.0.0.2"))

    assert (first.path, second.path) == ("--all/a.cfg", "[ab]/a.cfg")
    assert first.age_s == second.age_s == 19 * DAY


def test_git_is_told_no_secret_of_the_environment() -> None:
    kept = git.clean({"PATH": "/bin", "WALKDOWN_SW01": "canary", "GIT_DIR": "/x", "HOME": "/h"})

    assert kept["PATH"] == "/bin"
    assert kept["HOME"] == "/h"
    assert "canary" not in kept.values()
    assert "GIT_DIR" not in kept
