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

_STARTS = (
    "Bal Bran Cor Dal Dor Fen Gal Gor Hal Hol Jar Kel Kor Lam Lin Mar Mel Mor Nal Nor Pel Quil Ral Ros Sal Sor "
    "Tal Tor Ul Val Vor Wal Wen Yor Zan"
).split()
_MIDDLES = ("a e i o u ba di do ga ka la lo mi na ni ra ri ro sa ta ti va ve vi").split()
_ENDS = (
    "bach berg born croft dale den dorf field gard hagen ham ker land lund man mont mor nova quist rick rod sen "
    "son stad stein strom tham ton vane vik vold wick win wood worth"
).split()


def surnames(count: int, rng: Random) -> list[str]:
    """`count` distinct surnames of three syllables, in random order."""
    every = [start + middle + end for start in _STARTS for middle in _MIDDLES for end in _ENDS]
    distinct = sorted(set(every))
    if count > len(distinct):
        raise ValueError(f"{count} people asked for, but only {len(distinct)} distinct surnames can be made")
    return rng.sample(distinct, count)


def people(count: int, rng: Random) -> list[str]:
    """`count` full names such as "Mira Talivane"; surnames are unique, first names are shared."""
    return [f"{rng.choice(FIRST_NAMES)} {surname}" for surname in surnames(count, rng)]
