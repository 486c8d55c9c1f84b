"""The card of a model as files: `card.json`, `card.md`, a CSV of each table, and the picture as `card.html`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.charts.grammar import Chart, Plot
from core.charts.plot import COLUMNS, plotted
from core.charts.select import Data
from core.errors import UserError
from core.runs.store.folder import csv_text, replace_text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FIRST = "card.json"
Row = Mapping[str, Any]
WIDE, TALL = 1400, 460  # px of the picture, and of one line of its charts
TITLES = {
    "abilities": "Facts and tasks, intact and with the down-projections of all edited layers zeroed",
    "zeroed": "Down-projections zeroed",
    "kept": "The top n % of singular energy kept",
    "perturbed": "One tenth of the directions perturbed, strongest first, at equal Frobenius norm",
    "edits": "One round of plain MEMIT edits",
    "layers": "Each edited layer after it, and its second moment",
}
ACROSS = {"abilities": ("asked", "state"), "zeroed": ("layers", "asked"), "kept": ("percent", "asked")} | {
    "perturbed": ("tenth", "asked")
}  # tables with a score in each cell: what a line is, and what a column is


def check_free(folder: Path) -> None:
    """Raises `UserError` if a card cannot be written there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder")
    if (folder / FIRST).exists():
        raise UserError(f"{folder}: holds a card already; give another folder")


def write_card(card: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a result of the study `card`; returns its files. Raises `UserError` as `check_free` does."""
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {FIRST: json.dumps(card, ensure_ascii=False, allow_nan=False, indent=1) + "\n", "card.md": markdown(card)}
    for name, rows in card["tables"].items():
        columns = list(dict.fromkeys(column for row in rows for column in row)) or ["lane"]
        texts[f"card-{name}.csv"] = csv_text(columns, rows)
    texts["card.html"] = picture(card)
    for name, text in texts.items():
        replace_text(folder / name, text)
    return [folder / name for name in texts]


def picture(card: Mapping[str, Any]) -> str:
    """All charts of the card as one page that needs no other file and no network."""
    charts = tuple(Chart.from_dict(written) for written in card["charts"])
    data = Data(
        {name: [dict(row) for row in rows] for name, rows in card["tables"].items()}, lanes=tuple(card["lanes"])
    )
    figure = plotted(Plot(charts=charts), data, title=f"{card['model']['reference']}: {card['title']}")
    spread_out(figure, card["lanes"])
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def spread_out(figure: Figure, lanes: Sequence[str]) -> None:
    """Larger charts, each with a legend of its own, since a colour means something else in each; of a single lane its
    name is in the title alone."""
    lines = -(-len({trace.xaxis for trace in figure.data}) // COLUMNS)
    figure.update_layout(width=WIDE, height=TALL * lines + 120, margin={"l": 60, "r": 20, "t": 130, "b": 60})
    for note in figure.layout.annotations:
        if note.xref == "paper":
            note.text = note.text.removesuffix(f" · {lanes[0]}") if len(lanes) == 1 else note.text
            note.yshift = 20
    for number in dict.fromkeys((trace.xaxis or "x").removeprefix("x") for trace in figure.data):
        own = [trace for trace in figure.data if (trace.xaxis or "x") == f"x{number}" and trace.name]
        names = {trace.name: trace for trace in reversed(own)}
        for trace in own:
            trace.update(showlegend=len(names) > 1 and trace is names[trace.name], legend=f"legend{number}")
        place = {"x": figure.layout[f"xaxis{number}"].domain[0], "y": figure.layout[f"yaxis{number}"].domain[1]}
        look = {"orientation": "h", "xanchor": "left", "yanchor": "bottom", "font": {"size": 11}}
        figure.update_layout({f"legend{number}": place | look})


def markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown: what can be examined on the model, the limits, and the tables."""
    model, tables = card["model"], card["tables"]
    lines = [
        f"# {card['title']}: {model['reference']}",
        "",
        f"{model['parameters'] / 1e6:.1f}M parameters, {model['n_layers']} layers of width {model['d_model']}, FFN"
        f" {model['d_ffn']}, {model['dtype']} on {model['device']}.",
        "",
        *(f"- {row['sentence']}" for row in tables["claims"]),
        "",
        *table(tables["limits"], ("what", "value", "limit", "met")),
    ]
    for name, title in TITLES.items():
        lines += ["", f"## {title}", ""]
        if not tables[name]:
            lines += [f"Empty: {next(empty['why'] for empty in card['empty'] if empty['table'] == name)}."]
        elif name in ACROSS:
            lines += across(tables[name], *ACROSS[name])
        elif name == "edits":
            lines += table([{"": key, " ": value} for key, value in tables[name][0].items() if key != "lane"])
        else:
            lines += table(tables[name])
    sentences = {row["sentence"] for row in tables["claims"]}
    notes = [note for note in card["notes"] if note not in sentences]
    lines += ["", card["protocol"], *(line for note in notes for line in ("", f"Note: {note}"))]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> list[str]:
    """Rows as the lines of a Markdown table."""
    names = columns or [name for name in rows[0] if name != "lane"]
    body = ["| " + " | ".join(cell(row.get(name)) for name in names) + " |" for row in rows]
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *body]


def across(rows: Sequence[Row], line: str, column: str) -> list[str]:
    """Scores as a Markdown table: a line for each value of `line`, a column for each of `column`."""
    lines, columns = (list(dict.fromkeys(row[name] for row in rows)) for name in (line, column))
    at = {(row[line], row[column]): row["score"] for row in rows}
    return table([{line: one} | {name: at.get((one, name)) for name in columns} for one in lines])


def cell(value: Any) -> str:
    """A value in a table: three digits of a number, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.1e}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
