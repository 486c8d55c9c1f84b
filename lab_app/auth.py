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


def hashed(password: str, salt: bytes | None = None) -> str:
    """What stands in the file after the name: `scrypt$salt$key`, both in base64."""
    salt = salt or secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=LANES)
    return "$".join(("scrypt", base64.b64encode(salt).decode(), base64.b64encode(key).decode()))


def read(path: Path) -> dict[str, str]:
    """Names and hashes of a file with a `name:hash` per line; `#` begins a comment. Raises `UserError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"--auth-file {path}: {error.strerror}") from None
    people = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, stored = line.strip().partition(":")
        if not colon or not name or stored.count("$") != 2 or not stored.startswith("scrypt$"):
            raise UserError(
                f"--auth-file {path}, line {number}: not name:hash; make it with python -m lab_app.auth NAME"
            )
        people[name] = stored
    if not people:
        raise UserError(f"--auth-file {path}: names nobody; make a line with python -m lab_app.auth NAME")
    return people


def checker(people: dict[str, str]) -> Callable[[str, str], bool]:
    """Whether a name and a password belong together; takes as long for names that are unknown."""
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
