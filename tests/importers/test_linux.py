"""Linux texts: accounts, sessions and settings, and where the text leaves something open."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.facts import Account, DeviceIdentity, DeviceSettings, OpenSession
from scanner.importers.linux import (
    ABSENT,
    mask,
    read_accounts,
    read_assignments,
    read_authentication,
    read_authorized_keys,
    read_host,
    read_identity,
    read_listening,
    read_lockout,
    read_log_targets,
    read_multi_factor,
    read_sessions,
    read_settings,
    read_sshd_config,
    read_time_servers,
    read_timeout,
)


def hide(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()[:16]


COMMANDS = (
    "uname -a", "cat /etc/os-release", "getent passwd", "getent group", "who",
    "cat /etc/ssh/sshd_config", "cat /etc/pam.d/sshd", "cat /etc/login.defs",
    "cat /etc/issue.net", "cat /etc/systemd/timesyncd.conf", "cat /etc/chrony/chrony.conf",
    "cat /etc/rsyslog.conf", "cat /etc/profile", "timedatectl show", "ss -ltnuH",
    "cat .ssh/authorized_keys",
)  # fmt: skip
PIECES = st.sampled_from(
    ["root:x:0:0::/root:/bin/sh", "a:b", "Include x", "Match all", "Banner none", "=", '"', "'",
     "AuthenticationMethods publickey,password any", "auth required pam_oath.so", "@include a-auth",
     "TMOUT=", "TMOUT=99999999999", "server", "*.* @@", "tcp LISTEN 0 1 [::]:x y", "\0absent",
     "ssh-rsa AAAA", "$6$salt$" + "x" * 20, "password = ", "\n", " ", "٣", "²"]
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(COMMANDS),
        st.one_of(st.text(max_size=120), st.lists(PIECES, max_size=25).map(" ".join)),
    )
)
def test_no_outputs_raise(outputs: dict[str, str]) -> None:
    read_host(outputs, user="audit", hide=hide)
    for text in outputs.values():
        mask(text, hide)


def test_nothing_read_says_nothing() -> None:
    assert read_host({}, user="audit", hide=hide) == ()


def test_without_its_files_every_setting_is_unknown() -> None:
    assert read_settings({"who": ""}) == DeviceSettings(platform="linux")


# --- who and what ------------------------------------------------------------------------------


def test_node_and_operating_system_are_named_and_no_maker() -> None:
    identity = read_identity(
        "Linux jump01 6.1.0-18-amd64 #1 SMP x86_64 GNU/Linux",
        'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    )

    assert identity == DeviceIdentity(name="jump01", firmware="Debian GNU/Linux 12 (bookworm)")
    assert read_identity("zsh: command not found: uname", None) is None


def test_assignments_follow_shell_quoting() -> None:
    text = '# c\nA=1\nB="two words"\nC=\'x y\'\nD="open\nnot a line\n=x\n'

    assert read_assignments(text) == {"A": "1", "B": "two words", "C": "x y"}


PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "sync:x:4:65534:sync:/bin:/bin/sync\n"
    "anna:x:1000:1000:A.:/home/anna:/bin/bash\n"
    "old:$6$salt$abcdefghijklmnop:1001:1001::/home/old:/bin/sh\n"
    "gone:!:1002:1002::/home/gone:/bin/sh\n"
    "des:ab01FAX.bQRSU:1003:1003::/home/des:/bin/sh\n"
    "broken:x:1\n"
)


def test_accounts_tell_role_state_and_storage() -> None:
    accounts = {
        account.name: account
        for account in read_accounts(
            PASSWD, "sudo:x:27:anna\nanna:x:1000:\n", {"anna": ("SHA256:k",)}, hide
        )
    }

    assert set(accounts) == {"root", "daemon", "sync", "anna", "old", "gone", "des"}
    assert accounts["root"] == Account(name="root", role="root", privileged=True, enabled=True)
    assert accounts["daemon"].enabled is False
    assert accounts["sync"].enabled is False
    assert accounts["gone"].enabled is False
    assert accounts["anna"] == Account(
        name="anna",
        role="anna, sudo",
        privileged=True,
        enabled=True,
        key_fingerprints=("SHA256:k",),
    )
    assert accounts["old"].secret_storage == "sha512"
    assert accounts["old"].secret_fingerprint == hide("$6$salt$abcdefghijklmnop")
    assert accounts["des"].secret_storage == "des"
    assert "abcdefghijklmnop" not in repr(accounts)


def test_without_groups_nobody_is_called_unprivileged() -> None:
    accounts = read_accounts(PASSWD, None, {}, hide)

    assert accounts[0].privileged is True
    assert accounts[3].privileged is None


def test_keys_are_told_by_fingerprint() -> None:
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIJ1oYm91ci13YXRlcndvcmtzLWxhYi1zaGFyZWQtMDE5"
    text = (
        f"# comment ssh-ed25519 {key}\n"
        f'restrict,command="x" ssh-ed25519 {key} someone@somewhere\n'
        f"ssh-ed25519 {key}\nssh-ed25519 not-base64!\n"
        f"ssh-rsa {'A' * 20_000} too-long\n"
    )

    assert read_authorized_keys(text) == ("SHA256:dj1/+TSShoqZpB9/qQYSjDy7FCPyk37YldVzFbxKmYc",)


def test_sessions_of_who() -> None:
    text = (
        "anna     pts/0        2026-11-20 21:14 (192.0.2.12)\n"
        "op       tty1         2026-11-02 05:58\n"
    )

    assert read_sessions(text) == (
        OpenSession(account="anna", line="pts/0", origin="192.0.2.12"),
        OpenSession(account="op", line="tty1"),
    )


# --- settings ----------------------------------------------------------------------------------


def test_the_first_value_counts_and_an_include_or_match_leaves_it_open() -> None:
    config = read_sshd_config(
        "Banner none\nBanner /x\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n"
        "Match User anna\n  PubkeyAuthentication no\n"
    )

    assert config is not None
    assert config.value("banner") == "none"
    assert config.value("usepam") is None
    assert config.value("pubkeyauthentication") is None
    assert config.value("authenticationmethods") is None


def test_an_absent_keyword_is_unset_without_includes() -> None:
    config = read_sshd_config("Port 22\n")

    assert config is not None
    assert config.value("banner") == ""


@pytest.mark.parametrize(
    ("sshd", "issue", "expected"),
    [
        ("Banner /etc/issue.net\n", "Keep out\n", True),
        ("Banner /etc/issue.net\n", " \n", False),
        ("Banner /etc/issue.net\n", ABSENT, False),
        ("Banner /etc/issue.net\n", None, None),
        ("Banner /etc/other\n", None, True),
        ("Banner none\n", None, False),
        ("Port 22\n", "Keep out\n", False),
        ("Include x\n", "Keep out\n", None),
        (None, "Keep out\n", None),
    ],
)
def test_a_banner_is_what_sshd_shows(
    sshd: str | None, issue: str | None, expected: bool | None
) -> None:
    outputs = {"cat /etc/ssh/sshd_config": sshd, "cat /etc/issue.net": issue}

    settings = read_settings({key: text for key, text in outputs.items() if text is not None})

    assert settings.login_banner is expected


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("TMOUT=600\nreadonly TMOUT\nexport TMOUT\n", 600),
        ("readonly TMOUT=900\n", 900),
        ("declare -xr TMOUT=300 ; export TMOUT\n", 300),
        ("TMOUT=0\n", 0),
        ("PATH=/bin\n", 0),
        ("# TMOUT=600\nPATH=/bin\n", None),
        ("for i in /etc/profile.d/*.sh; do . $i; done\n", None),
        (None, None),
    ],
)
def test_the_session_time_out_is_tmout(profile: str | None, expected: int | None) -> None:
    assert read_timeout(profile, read_sshd_config("Port 22\n")) == expected


def test_no_time_out_is_claimed_where_sshd_may_have_one() -> None:
    assert read_timeout("PATH=/bin\n", None) is None
    assert read_timeout("PATH=/bin\n", read_sshd_config("Include x\n")) is None
    assert read_timeout("PATH=/bin\n", read_sshd_config("ChannelTimeout session=15m\n")) is None


@pytest.mark.parametrize(
    ("timesyncd", "chrony", "expected"),
    [
        ("[Time]\nNTP=192.0.2.1 192.0.2.2\n", ABSENT, ("192.0.2.1", "192.0.2.2")),
        (
            "[Time]\n#NTP=\n",
            "server 192.0.2.1 iburst\npool p.example\n",
            ("192.0.2.1", "p.example"),
        ),
        ("[Time]\n#NTP=\n", ABSENT, ()),
        (ABSENT, ABSENT, ()),
        ("[Time]\n#NTP=\n", "sourcedir /etc/chrony/sources.d\n", None),
        ("[Time]\n", None, None),
        (None, ABSENT, None),
    ],
)
def test_time_servers_of_both_clients(
    timesyncd: str | None, chrony: str | None, expected: tuple[str, ...] | None
) -> None:
    assert read_time_servers(timesyncd, chrony) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*.*  @@192.0.2.13:514\n", ("192.0.2.13",)),
        ("auth.* @(z9)log.example:514\n", ("log.example",)),
        ('action(type="omfwd" target="192.0.2.14" port="514")\n', ("192.0.2.14",)),
        ('action(type="omfile" file="/var/log/x" target="y")\n', ()),
        ("*.* /var/log/syslog # to @somebody\n", ()),
        ("# *.* @@192.0.2.13\n", ()),
        ("$IncludeConfig /etc/rsyslog.d/*.conf\n", None),
        ('include(file="/etc/rsyslog.d/*.conf")\n', None),
        (None, None),
    ],
)
def test_log_targets_of_rsyslog(text: str | None, expected: tuple[str, ...] | None) -> None:
    assert read_log_targets(text) == expected


def test_ports_bound_to_loopback_are_left_out() -> None:
    text = (
        "tcp   LISTEN 0 128    0.0.0.0:22     0.0.0.0:*\n"
        "tcp   LISTEN 0 128       [::]:22        [::]:*\n"
        "tcp   LISTEN 0 244  127.0.0.1:5432  0.0.0.0:*\n"
        "udp   UNCONN 0 0   127.0.0.53%lo:53  0.0.0.0:*\n"
        "tcp   LISTEN 0 5            *:23           *:*\n"
        "udp   UNCONN 0 0        [::1]:323       [::]:*\n"
        "u_str LISTEN 0 5  /run/x 1 * 0\ntcp LISTEN 0 5 0.0.0.0:70000 x\n"
    )

    assert read_listening(text) == ("tcp/22", "tcp/23")
    assert read_listening("") == ()
    assert read_listening(None) is None


@pytest.mark.parametrize(
    ("pam", "expected"),
    [
        ("auth required pam_unix.so\n", ("local",)),
        ("auth sufficient pam_radius_auth.so\nauth required pam_unix.so\n", ("radius", "local")),
        ("@include common-auth\n", None),
        ("auth substack password-auth\n", None),
        (None, None),
    ],
)
def test_the_chain_of_authentication(pam: str | None, expected: tuple[str, ...] | None) -> None:
    assert read_authentication(pam) == expected


UNIX = "auth required pam_unix.so\n"
CODE = UNIX + "auth required pam_google_authenticator.so\n"


@pytest.mark.parametrize(
    ("sshd", "pam", "expected"),
    [
        ("AuthenticationMethods publickey,password\n", UNIX, True),
        ("AuthenticationMethods publickey,keyboard-interactive:pam\n", None, True),
        ("AuthenticationMethods publickey,password publickey\n", UNIX, False),
        ("AuthenticationMethods publickey,publickey\n", UNIX, False),
        ("AuthenticationMethods keyboard-interactive\n", CODE, True),
        ("AuthenticationMethods keyboard-interactive\n", UNIX, False),
        ("AuthenticationMethods password,keyboard-interactive\n", None, None),
        ("AuthenticationMethods any\n", UNIX, False),
        ("Port 22\n", UNIX, False),
        ("Port 22\n", "@include common-auth\n", False),
        ("UsePAM yes\nPubkeyAuthentication no\n", CODE, True),
        ("PubkeyAuthentication no\n", CODE, None),
        ("UsePAM yes\nPubkeyAuthentication no\n", CODE.replace("tor.so", "tor.so nullok"), None),
        ("UsePAM yes\nPubkeyAuthentication no\n", "auth required pam_radius_auth.so\n", None),
        ("UsePAM yes\nPubkeyAuthentication no\n", "@include common-auth\n", None),
        ("UsePAM yes\n", CODE, None),
        ("Include x\n", CODE, None),
        ("Match User a\nAuthenticationMethods publickey,password\n", UNIX, None),
    ],
)
def test_several_factors_are_claimed_only_where_the_files_demand_them(
    sshd: str, pam: str | None, expected: bool | None
) -> None:
    assert read_multi_factor(read_sshd_config(sshd), pam)[0] is expected


def test_an_open_question_about_factors_carries_a_note() -> None:
    _, note = read_multi_factor(
        read_sshd_config("UsePAM yes\nPubkeyAuthentication no\n"),
        "auth required pam_radius_auth.so\n",
    )

    assert "RADIUS" in (note or "")
    assert read_multi_factor(None, CODE) == (None, None)


# --- masking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "password = {}",
        'DB_PASSWORD="{}"',
        "export API_KEY={}",
        "bind_pw_secret: {}",
        "auth required pam_x.so secret={} timeout=3",
        "*.* :ommysql:localhost,Syslog,rsyslog,{}",
        "old:$6$salt${}:1001:1001::/home/old:/bin/sh",
        "token {}",
        "older:{}:1001:1001::/home/older:/bin/sh",
    ],
)
@given(secret=st.text(st.sampled_from("abcXYZ019/._+"), min_size=8, max_size=20))
def test_no_secret_survives_masking(line: str, secret: str) -> None:
    masked = mask(line.replace("{}", "Q" + secret), hide)

    assert "Q" + secret not in masked
    assert "<secret:" in masked


@pytest.mark.parametrize(
    "line", ["PasswordAuthentication yes", "UsePAM yes", "*.* @@192.0.2.13:514", PASSWD.split()[0]]
)
def test_lines_without_a_secret_are_kept(line: str) -> None:
    assert mask(line, hide) == line


def test_a_long_line_made_to_be_slow_is_masked_in_time() -> None:
    mask("._-" * 60_000 + " password" * 10_000 + '"', hide)


@pytest.mark.parametrize(
    ("pam", "threshold"),
    [
        ("auth required pam_faillock.so preauth deny=5 unlock_time=600", 5),
        ("auth required pam_faillock.so preauth", 3),
        ("auth required pam_faillock.so preauth deny=0", None),
        ("auth required pam_tally2.so deny=4 onerr=fail", 4),
        ("auth required pam_tally2.so onerr=fail", None),
        ("auth required pam_faillock.so deny=6\nauth [default=die] pam_faillock.so deny=4", 4),
        ("auth required pam_unix.so deny=2", None),
        ("account required pam_faillock.so deny=2", None),
        (None, None),
    ],
)  # fmt: skip
def test_failures_that_lock_an_account_are_read(pam: str | None, threshold: int | None) -> None:
    assert read_lockout(pam) == threshold


def test_of_several_lines_with_one_name_the_first_counts() -> None:
    """A host that repeats itself would else multiply its keys until they fill the memory."""
    lines = "audit:x:1000:1000::/home/audit:/bin/sh\n" + "audit:x:0:0::/:/bin/sh\n" * 400
    keys = {"audit": tuple(f"SHA256:{number}" for number in range(500))}

    accounts = read_accounts(lines, None, keys, lambda secret: "0")

    assert [(account.name, account.role) for account in accounts] == [("audit", None)]
    assert len(accounts[0].key_fingerprints) == 500
