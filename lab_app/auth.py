"""Names and passwords for a lab that several people share. `python -m lab_app.auth NAME` makes a line for the file."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from core.errors import UserError

COST, BLOCK, LANES = 2**14, 8, 1  # of scrypt: 16 MiB and some 50 ms a try
LEAST_SALT, KEY = 8, 64  # bytes


def hashed(password: str, salt: bytes | None = None) -> str:
    """The part of a line after the name: `scrypt$salt$key`, both in base64."""
    salt = salt or secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=LANES)
    return "$".join(("scrypt", base64.b64encode(salt).decode(), base64.b64encode(key).decode()))


def read(path: Path) -> dict[str, str]:
    """Names and hashes of a file with a `name:hash` per line; `#` begins a comment. Raises `UserError`."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"--auth-file {path}: {error.strerror}") from None
    people: dict[str, str] = {}
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise UserError(f"--auth-file {path}, line {number}: not UTF-8 text; save the file as UTF-8") from None
        if not line or line.startswith("#"):
            continue
        name, _, stored = line.partition(":")
        why = "" if name.strip() else "no name before the colon"
        why = why or ("" if well_formed(stored) else "not name:hash")
        why = why or (f'"{name}" is there twice' if name in people else "")
        if why:
            raise UserError(f"--auth-file {path}, line {number}: {why}; make it with python -m lab_app.auth NAME")
        people[name] = stored
    if not people:
        raise UserError(f"--auth-file {path}: has no names; make a line with python -m lab_app.auth NAME")
    return people


def well_formed(stored: str) -> bool:
    """Whether this has the format of `hashed`."""
    kind, *parts = stored.split("$")
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in parts)
    except ValueError:
        return False
    return kind == "scrypt" and len(salt) >= LEAST_SALT and len(key) == KEY


def checker(people: dict[str, str]) -> Callable[[str, str], bool]:
    """Whether a name and a password match; takes equally long for unknown names."""
    nobody = hashed(secrets.token_hex(8))

    def check(name: str, password: str) -> bool:
        stored = people.get(name, nobody)
        salt = base64.b64decode(stored.split("$")[1])
        return hmac.compare_digest(hashed(password, salt), stored) and name in people

    return check


if __name__ == "__main__":
    if len(sys.argv) != 2 or ":" in sys.argv[1]:
        sys.exit("usage: python -m lab_app.auth NAME   (no colon in it)")
    print(f"{sys.argv[1]}:{hashed(getpass.getpass('Password: '))}")
