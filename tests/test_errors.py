from core.errors import LISTED, LONGEST, UserError, clipped, nearest


def test_an_error_is_never_longer_than_a_person_reads():
    error = UserError("begins " + "x" * 470_000 + " ends")
    assert len(str(error)) == LONGEST
    assert str(error).startswith("begins x")
    assert str(error).endswith("x ends")
    assert "468,0" in str(error)  # how many were left out
    assert clipped("short") == "short"


def test_known_names_are_listed_as_far_as_a_person_reads():
    names = [f"name {number:05}" for number in range(14_000)]
    said = nearest("name 12345x", names)
    assert said.startswith('did you mean "name 12345"? Known: name 00000, name 00001')
    assert said.endswith(f" and {14_000 - LISTED:,} more.")
    assert len(said) < 1_000
    assert nearest("lamda", ["lambda", "layers"]) == 'did you mean "lambda"? Known: lambda, layers.'
