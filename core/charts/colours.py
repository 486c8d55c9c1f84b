"""Colours and marks of lanes and series: those of the page in light mode. Its style sheet has the same values."""

LANES = ("#d55e00", "#0072b2", "#00886a", "#b45f92", "#a87900", "#2b8fc7")
SERIES = ("#332288", "#117733", "#b5446a", "#2f9fc4", "#8a7a1f", "#882255", "#37977f", "#9a3ba0")
RAMP = ("#9ccbd3", "#0b3f49")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
DASHES = ("solid", "solid", "dash", "dot", "dashdot", "longdash")
BASE, MUTED, INK, HAIR, CARD, ACCENT = "#8793a1", "#566374", "#1a222c", "#e6eaee", "#ffffff", "#14636f"
WARM, COOL, SHADE = "#b04a00", "#1c5f9e", "rgba(20, 99, 111, 0.09)"


def mark_of(place: int, kinds: tuple[str, ...]) -> str:
    """The mark or dash of a lane by its index. After six lanes the colours repeat, with another mark and dash."""
    return kinds[(place + place // len(LANES)) % len(kinds)]


def mixed(first: str, last: str, share: float) -> str:
    """Between two colours, both as #rrggbb."""
    ends = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (first, last)]
    parts = (round(start + share * (end - start)) for start, end in zip(*ends, strict=True))
    return f"rgb({','.join(map(str, parts))})"
