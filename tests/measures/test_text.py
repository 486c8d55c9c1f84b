"""Matches, fluency and consistency by hand; TF-IDF also against scikit-learn's."""

import math

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from core.measures.outside.free_text import (
    TfIdf,
    contains_match,
    entropy,
    exact_match,
    first_line,
    fluency,
    plain,
    terms,
    words,
)


@pytest.mark.parametrize(
    ("text", "answers", "exact", "contains"),
    [
        (" Paris. The capital of", ["Paris"], True, True),
        (" the  PARIS!\nmore", ["Paris"], True, True),
        (" in Paris, France.", ["Paris"], False, True),
        (" Parisian wine", ["Paris"], False, False),
        (" St. Louis. It is", ["St. Louis"], True, True),
        (" St. Petersburg. It is", ["St. Louis"], False, False),
        (" NYC", ["New York City", "NYC"], True, True),
        ("\n\n  3.5 metres", ["3.5"], False, True),
        (" Tom-Ash's", ["Tom Ash"], False, True),
        ("他住在巴黎。", ["巴黎"], False, True),
        ("巴黎。他住", ["巴黎"], True, True),
        ("อยู่ในปารีส", ["ปารีส"], False, True),
        (" Москва, столица", ["москва"], False, True),
        ("", ["Paris"], False, False),
        ("5.5 metres", ["5"], False, False),
        ("It is 5.5 metres", ["5.5"], False, True),
        (" 5.5. It is", ["5.5"], True, True),
        (" -5", ["5"], False, False),
        (" 🟢.", ["🟢"], True, True),
        (" it is 🟢🟡", ["🟢"], False, True),
        (" it is 👩‍🔬", ["👩"], False, False),
        (" it is 🟢", ["🟡"], False, False),
        (" The.", ["the"], False, False),  # nothing is left of the answer: it matches nothing
    ],
)
def test_matches(text, answers, exact, contains):
    assert exact_match(text, answers) == exact
    assert contains_match(text, answers) == contains


def test_normalised_text():
    assert plain("  The “Café”, a ﬁne place! ") == "café fine place"
    assert first_line("\n \n one \ntwo") == "one"


def test_entropy_in_bits():
    assert entropy([("a",), ("a",), ("b",), ("c",)]) == 1.5
    assert entropy([("a",)] * 4) == 0.0
    assert entropy([]) == 0.0


def test_fluency_by_hand():
    # Words a b a b c. Bigrams ab ba ab bc: H₂ = 1.5 bits. Trigrams aba bab abc: H₃ = log₂ 3.
    expected = (2 / 3 * 1.5 + 4 / 3 * math.log2(3)) / 2
    assert fluency("a b a b c") == pytest.approx(expected, rel=1e-12)
    assert fluency("no no no no no no") == 0.0
    assert fluency("one") == 0.0
    assert words("It's 3, 好吗") == ["It", "'", "s", "3", ",", "好", "吗"]


def test_consistency_by_hand():
    # Two documents; river in both (idf 1), boat and hill in one each (idf ln(3/2) + 1).
    fitted = TfIdf.fit(["river boat boat", "river hill"])
    rare = math.log(3 / 2) + 1
    assert fitted.idf == {"river": 1.0, "boat": rare, "hill": rare}
    one = 2 * rare / math.sqrt(1 + 4 * rare**2)  # the share of boat in "river boat boat"
    other = rare / math.sqrt(1 + rare**2)  # and of hill in "river hill"
    across = (1 / math.sqrt(1 + 4 * rare**2)) * (1 / math.sqrt(1 + rare**2))
    assert fitted.cosine("River, boat BOAT!", "boat") == pytest.approx(one, rel=1e-12)
    assert fitted.cosine("river hill", "hill unknown") == pytest.approx(other, rel=1e-12)
    assert fitted.cosine("river boat boat", "river hill") == pytest.approx(across, rel=1e-12)
    assert fitted.cosine("river", "unknown words") == 0.0


def test_tf_idf_equals_scikit_learns():
    documents = ["The river runs to the sea.", "A boat on the river, a boat at sea", "hills and more hills"]
    texts = ["the boat runs", "river of hills to the SEA", "nothing known 7 x"]
    theirs = TfidfVectorizer().fit(documents)
    ours = TfIdf.fit(documents)
    matrix = theirs.transform([*texts, *documents])
    cosines = (matrix @ matrix.T).toarray()
    every = [*texts, *documents]
    for i, first in enumerate(every):
        for j, second in enumerate(every):
            assert ours.cosine(first, second) == pytest.approx(cosines[i, j], abs=1e-12)
    assert terms("A boat; 巴黎") == ["boat", "巴", "黎"]
