"""The operating system's user that the embedded PostgreSQL runs as, and its way to the files it needs.

PostgreSQL refuses to run as root. Started by root it runs under a system user, who gets exactly the passage it lacks
through closed folders such as ``/root``: an access control entry for this one user, nothing for anyone else.
"""

import errno
import os
import pwd
import struct
import subprocess
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

SYSTEM_USER = "trellis-postgres"


class EmbeddedError(Exception):
    """Says in one sentence why PostgreSQL does not run and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that PostgreSQL runs as; without a name, the user we are."""

    name: str | None = None
    uid: int | None = None
    gid: int | None = None

    def run(self, *command: str | Path, silent: bool = False) -> subprocess.CompletedProcess[str]:
        """The finished command, run as this account with a small environment; ``silent`` drops what it says."""
        output = subprocess.DEVNULL if silent else subprocess.PIPE
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.name is None else (),
        )

    def owns(self, path: Path) -> None:
        """Hand ``path`` over to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account_for(folder: Path) -> Account:
    """We ourselves; but PostgreSQL refuses root, so root gets the folder's owner or, for a new one, a system user."""
    if os.geteuid() != 0:
        return Account()
    if folder.exists() and (owner := folder.stat()).st_uid:
        return Account(_user_name(owner.st_uid), owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _new_system_user()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _new_system_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, check=False)
        return pwd.getpwnam(SYSTEM_USER)  # also when another process made it a moment ago
    except (OSError, KeyError):
        raise EmbeddedError(
            f"PostgreSQL does not run as root: create a system user named {SYSTEM_USER}, or run Trellis as an ordinary user."
        ) from None


def let_pass(account: Account, folder: Path) -> None:
    """Let the account, and nobody else, pass through the parents of ``folder`` that are closed to it."""
    uid = account.uid
    if uid is None or _may_enter(account, folder):
        return
    for parent in reversed(folder.resolve().parents):
        if not _may_enter(account, parent):
            try:
                _grant_passage(parent, uid)
            except OSError:
                break
    if not _may_enter(account, folder):
        raise EmbeddedError(
            f"PostgreSQL runs as the user {account.name}, who may not pass to {folder}:"
            " move it out of the closed folder, or run Trellis as an ordinary user."
        )


def _may_enter(account: Account, folder: Path) -> bool:
    return account.run("/bin/sh", "-c", 'cd -- "$1"', "sh", folder).returncode == 0


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NOBODY = 0xFFFFFFFF
PASS = 1


def _grant_passage(folder: Path, uid: int) -> None:
    """Add an access control entry that lets one user pass through ``folder``, and widens nothing for anyone else.

    Source: acl(5); the kernel's form is a version and then tag, permissions and id of each entry, in order.
    """
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(folder, "system.posix_acl_access")[4:]))
    except OSError as absent:
        if absent.errno != errno.ENODATA:
            raise
        mode = folder.stat().st_mode
        entries = [(USER_OBJ, mode >> 6 & 7, NOBODY), (GROUP_OBJ, mode >> 3 & 7, NOBODY), (OTHER, mode & 7, NOBODY)]
    mask = next((allowed for tag, allowed, _ in entries if tag == MASK), 7)
    kept = [
        (tag, allowed & mask if tag in (USER, GROUP_OBJ, GROUP) else allowed, who)
        for tag, allowed, who in entries
        if tag != MASK and (tag, who) != (USER, uid)
    ]
    kept.append((USER, PASS, uid))
    kept.append((MASK, reduce(or_, (allowed for tag, allowed, _ in kept if tag in (USER, GROUP_OBJ, GROUP))), NOBODY))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(kept, key=lambda entry: (entry[0], entry[2])))
    os.setxattr(folder, "system.posix_acl_access", struct.pack("<I", 2) + packed)
