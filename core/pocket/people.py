"""Names for the synthetic population: no surname occurs twice, so that a surname identifies its bearer."""
# ruff: noqa: SIM905  (a hundred names read better as one text than as a list)

from random import Random

FIRST_NAMES = (
    "Adela Alric Amina Anders Aniko Arlo Astrid Basil Beatrix Bruno Carla Casper Celia Cyril Dalia Darius Edda "
    "Elias Elmira Emil Esther Fabian Farah Felix Flora Gideon Greta Hanna Hector Hilda Ibrahim Ilse Irma Ivan "
    "Jasper Johanna Jonas Judit Kamal Karin Kasimir Katya Laila Lars Leona Linus Livia Lorenz Magda Malik Marcel "
    "Martha Mirko Mira Nadia Nestor Nils Nora Olga Omar Oskar Otto Paula Perla Philip Quentin Rafael Ramona "
    "Renata Rosa Rufus Sabine Samir Selma Silas Simona Stefan Sven Tamara Tariq Tessa Theo Tilda Tomas Ulrich "
    "Ursula Valentin Vera Viktor Wanda Werner Willem Xenia Yara Yusuf Zelda Zoltan"
).split()

STARTS = [
    onset + vowel
    for onset in (
        "Bal Bran Cor Dul Dor Fen Gal Gor Hal Hol Jar Kel Kor Lam Lin Mar Mel Mor Nal Nel Pel Quil Ral Ros Sal Sor Tal "
        "Tor Ul Val Vor Wal Wen Yor Zan"
    ).split()
    for vowel in "aio"
]
ENDS = [
    middle + end
    for middle in ("be", "ni", "vo")
    for end in (
        "bach berg born croft dale den dorf field gard hagen ham ker land lund man mont mor nova quist rick rod sen "
        "son stad stein strom tham ton vane vik vold wick win wood worth"
    ).split()
]


def surnames(count: int, rng: Random) -> list[str]:
    """`count` distinct surnames of two parts, in random order. A bearer is known by both parts together alone."""
    distinct = sorted({start + end for start in STARTS for end in ENDS})
    if count > len(distinct):
        raise ValueError(f"{count} people asked for, but only {len(distinct)} distinct surnames can be made")
    return rng.sample(distinct, count)


def people(count: int, rng: Random) -> list[str]:
    """`count` full names such as "Mira Talivane"; surnames are unique, first names are shared."""
    return [f"{rng.choice(FIRST_NAMES)} {surname}" for surname in surnames(count, rng)]
