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


@pytest.mark.parametrize("text", ["", "ada", "ada:plain", ":scrypt$a$b"])
def test_files_that_are_not(tmp_path, text):
    path = tmp_path / "people"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="--auth-file"):
        read(path)
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "nothing")
