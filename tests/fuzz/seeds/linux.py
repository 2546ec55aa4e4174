"""Configurations of Linux: what the commands of an audit print."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import scanner.importers.linux
from tests.fuzz.seeds.form import hide

LINUX_OUTPUTS = {
    "uname -a": "Linux jump01 6.1.0-21-amd64 #1 SMP x86_64 GNU/Linux\n",
    "cat /etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n',
    "getent passwd": "root:x:0:0:root:/root:/bin/bash\naudit:$6$abcd$efgh:998:27::/h/a:/bin/sh\n"
    "old:abcdefghijklm:1000:1000::/home/o:/usr/sbin/nologin\nnone::1001:1001::/h:/bin/sh\n",
    "getent group": "root:x:0:\nsudo:x:27:audit,shift\nusers:x:100:a,b,c\n",
    "who": "audit    pts/0        2026-11-20 21:14 (192.0.2.12)\nroot tty1 2026-11-20 10:00\n",
    "cat /etc/ssh/sshd_config": "Port 22\nBanner /etc/issue.net\nUsePAM yes\n"
    "AuthenticationMethods publickey,password\nInclude /etc/ssh/sshd_config.d/*.conf\n"
    "Match User a\n PasswordAuthentication no\n",
    "cat /etc/pam.d/sshd": "auth required pam_google_authenticator.so nullok\n@include auth\n"
    "auth [success=1 default=ignore] pam_unix.so\nauth sufficient pam_radius_auth.so\n",
    "cat /etc/login.defs": "ENCRYPT_METHOD YESCRYPT\n",
    "cat /etc/issue.net": "Keep out\n",
    "cat /etc/systemd/timesyncd.conf": "[Time]\nNTP=192.0.2.1 192.0.2.2\n#FallbackNTP=x\n",
    "cat /etc/chrony/chrony.conf": "pool 2.debian.pool iburst\nserver 192.0.2.1\nconfdir /c\n",
    "cat /etc/rsyslog.conf": "*.* @@192.0.2.13\nauth.* @(z9)[2001:db8::1]:514\n"
    'action(type="omfwd" target="192.0.2.14" port="514")\n*.* :ommysql:h,db,user,secretpw\n'
    "RELAY_PASSWORD=clear-text-word\n$IncludeConfig /etc/rsyslog.d/*.conf\n",
    "cat /etc/profile": "export TMOUT=600\nreadonly TMOUT\n",
    "timedatectl show": "Timezone=UTC\nNTPSynchronized=yes\n",
    "ss -ltnuH": "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nudp UNCONN 0 0 [::]:123 [::]:*\n"
    "tcp LISTEN 0 128 127.0.0.1:25 0.0.0.0:*\ntcp LISTEN 0 128 [::1%lo]:80 x\n",
    "cat .ssh/authorized_keys": "ssh-ed25519 "
    + base64.b64encode(b"\0" * 51).decode()
    + " a@b\n# x\nssh-rsa AAAA= bad\n",
}


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    linux = scanner.importers.linux
    for text in LINUX_OUTPUTS.values():
        yield "linux", lambda t=text: linux.mask(t, hide)  # type: ignore[misc]
    yield "linux", lambda: linux.read_host(LINUX_OUTPUTS, user="audit", hide=hide)
