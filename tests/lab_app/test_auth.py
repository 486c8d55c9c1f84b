import pytest

from core.errors import UserError
from lab_app.auth import checker, hashed, read


def test_names_and_passwords(tmp_path):
    path = tmp_path / "people"
    path.write_text(f"# the class\n\nada:{hashed('würfel')}\nbob:{hashed('secret')}\n", encoding="utf-8")
    check = checker(read(path))
    assert check("ada", "würfel")
    assert not check("ada", "secret")
    assert not check("eve", "secret")
    assert not check("", "")


@pytest.mark.parametrize(
    "text", ["", "ada", "ada:plain", ":scrypt$a$b", "ada:scrypt$a$b", "ada:scrypt$YWJjZGVmZ2g=$YQ=="]
)
def test_files_that_are_not(tmp_path, text):
    path = tmp_path / "people"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="--auth-file"):
        read(path)
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "nothing")


def test_the_line_that_is_wrong_is_named(tmp_path):
    path = tmp_path / "people"
    right = f"ada:{hashed('a')}"
    for wrong, message in (
        ("bob:secret", "line 3: not name:hash"),
        (f"bob:{hashed('b')[:-8]}", "line 3: not name:hash"),
        (right, 'line 3: "ada" is there twice'),
        (right.removeprefix("ada"), "line 3: no name"),
        ("b\udcff", "line 3: not UTF-8"),
    ):
        path.write_text(f"# people\n{right}\n{wrong}\n", encoding="utf-8", errors="surrogateescape")
        with pytest.raises(UserError, match=message):
            read(path)
    path.write_text(f"\ufeff{right}\r\n", encoding="utf-8")
    assert list(read(path)) == ["ada"]
