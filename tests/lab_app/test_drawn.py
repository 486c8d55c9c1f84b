"""What is drawn, number by number: panels, studies and lessons in a browser against the stored tables, and against the
figures that Python makes of them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from core import panels
from core.runs.progress.events import Measured
from lab_app.frontend import address
from lab_app.handlers.compare import PLOT, compared
from lab_app.lessons import lessons
from tests.lab_app.checks import check
from tests.lab_app.looking import DONE
from tests.lab_app.studied import CHARTS, studied
from tests.lab_app.synthetic import LANES, measured, record
from tests.panels.stored import CASES, Stored, drawn

ROUNDS, LOOKED = 6, 4
READ = """(selector) => {
    const section = document.querySelector(selector), plot = section.querySelector(".plot");
    const list = (values) => values && [...values];
    const traces = plot.data.map(({ type, fill, lane, name, column, unit, x, y, z, customdata, yaxis }) => ({
        type, fill, lane, name, column, unit, x: list(x), y: list(customdata || y), z: list(z),
        axis: plot.layout[(yaxis || "y").replace("y", "yaxis")],
    }));
    const numbers = [...section.querySelectorAll(".number")].map((one) => ({
        name: one.querySelector(".name").firstChild.textContent.trim(),
        unit: one.querySelector(".unit")?.textContent.trim() || "",
        values: [...one.querySelectorAll(".values b")].map((value) => [value.title, value.textContent]),
    }));
    const shapes = plot.layout.shapes.map(({ type, x0, x1, y0, y1 }) => ({ type, x0, x1, y0, y1 }));
    return { traces, numbers, shapes };
}"""


def with_intervals(*given: Any, **options: Any) -> Measured:
    """A measured round whose scores have intervals."""
    event = measured(*given, **options)
    known = {name: value for name, value in event.scores.items() if name.startswith(("efficacy", "neighbor"))}
    return replace(event, intervals={name: [value - 0.04, value + 0.03] for name, value in known.items()})


def look(page: Any, round: int) -> None:
    page.evaluate(
        "([dial, n]) => { dial.value = n; dial.dispatchEvent(new Event('input')); }",
        [page.query_selector("#lab-dock input"), round],
    )


def choose(page: Any, key: str, choices: dict[str, Any]) -> None:
    """Press what the choices say, by what stands on their buttons."""
    declared = {choice.name: choice for choice in panels.get(key).plot.choices}
    for name, value in choices.items():
        says = dict(declared[name].options).get(value, f"layer {value}" if name == "layer" else value)
        says = {"task_mean": "mean"}.get(says, str(says).removeprefix("task_"))
        group = page.locator(f"#lab-panel-{key} .choices [aria-label='{declared[name].label}']")
        group.get_by_role("button", name=says, exact=True).click()
        page.wait_for_function(
            "([key, says]) => [...document.querySelectorAll(`#lab-panel-${key} .choices [aria-pressed=true]`)]"
            ".some((one) => one.textContent === says)",
            arg=[key, says],
        )


def test_every_panel_draws_what_is_stored(visit: Any, served: Any, monkeypatch: Any) -> None:
    """Curves and big numbers with their units, under every choice, at a round that is not the last."""
    monkeypatch.setattr("tests.lab_app.synthetic.measured", with_intervals)
    run = record(served.store, rounds=ROUNDS)
    events = [event for _, event in served.store.events(run)]
    stored = Stored(events, LOOKED)
    page = visit(f"?run={run}")
    page.wait_for_selector(DONE)
    look(page, LOOKED)
    for key, choices in CASES:
        page.locator(f"#lab-panel-{key}").scroll_into_view_if_needed()
        page.wait_for_function(f"(document.querySelector('#lab-panel-{key} .plot').data || []).length > 0")
        choose(page, key, choices)
        columns = sorted({column for _, column in drawn(key, stored, choices)})
        page.wait_for_function(
            "([key, columns]) => { const drawn = new Set(document.querySelector(`#lab-panel-${key} .plot`).data"
            ".map(({ column }) => column)); return columns.every((one) => drawn.has(one)); }",
            arg=[key, columns],
        )
        page.wait_for_timeout(120)
        found = page.evaluate(READ, f"#lab-panel-{key}")
        check(key, choices, events, stored, found)


def test_every_study_chart_draws_its_table(visit: Any, served: Any) -> None:
    """Lines with intervals, heat maps, bars, points and logarithms: each against the rows of its table."""
    run = record(served.store, rounds=4)
    page = visit(f"?run={run}")
    page.wait_for_selector("#lab-studies .ask-study:enabled")
    page.click("#lab-studies .questions button[data-study=keys]")
    page.click("#lab-studies .rounds button[data-how=all]")
    page.click("#lab-studies .ask-study")
    page.wait_for_selector("#lab-studies .study[data-status=done] .charts .panel")
    (state,) = served.store.studies.of(run)
    tables = studied(state, list(LANES))["tables"]
    titles = [chart.title for chart in CHARTS if tables[chart.table]]
    page.locator("#lab-studies .charts .panel").last.scroll_into_view_if_needed()
    page.wait_for_function(
        "(n) => [...document.querySelectorAll('.studies .plot')].filter((plot) => plot.data?.length).length >= n",
        arg=len(titles),
    )
    for chart in CHARTS:
        rows = tables[chart.table]
        if not rows:
            continue
        found = page.evaluate(READ, f".studies .panel[aria-label='{chart.title}']")["traces"]
        for lane in LANES:
            own = [trace for trace in found if trace["lane"] == lane and trace["column"]]
            mine = [row for row in rows if row["lane"] == lane]
            if chart.kind == "heat":
                (grid,) = own
                at = {(str(row[chart.x]), str(row[chart.y])): row[chart.z] for row in mine}
                drawn_ = {(x, y): grid["z"][j][i] for i, x in enumerate(grid["x"]) for j, y in enumerate(grid["y"])}
                assert drawn_ == pytest.approx(at)
                continue
            words = {str(row[chart.x]) if isinstance(row[chart.x], str) else row[chart.x] for row in mine}
            points = sorted(
                (x.replace("<br>", " ") if isinstance(x, str) else x, y)
                for trace in own
                for x, y in zip(trace["x"], trace["y"], strict=True)
            )
            assert {x for x, _ in points} == words
            assert [y for _, y in points] == pytest.approx(
                [y for _, y in sorted((r[chart.x], r[chart.y]) for r in mine)]
            )
            if chart.by:
                for trace in own:
                    of = [row for row in mine if str(row[chart.by]) == trace["name"]]
                    assert set(trace["y"]) <= {row[chart.y] for row in of}  # series are not swapped
        if chart.y_low:
            bands = [trace for trace in found if trace["fill"]]
            assert len(bands) == len([trace for trace in found if trace["column"]])
            heights = {
                round(high - low, 6) for band in bands for high, low in zip(band["y"], band["y"][::-1], strict=True)
            }
            assert {abs(height) for height in heights} == {0.1}
        shares = [trace["axis"] for trace in found if trace["column"] and "share" in chart.y_title]
        assert all("100 %" in axis["ticktext"] for axis in shares)


LESSON = """async ([module, chart, series, rows]) => {
    const { lessonChart } = await import(module);
    const figure = document.createElement("figure");
    figure.className = "chart";
    figure.innerHTML = '<figcaption><span class="legend"></span></figcaption><div class="plot"></div>';
    figure.style = "position:fixed;inset:0;width:900px;height:500px;z-index:99;background:white";
    figure.firstChild.nextSibling.style = "width:900px;height:400px";
    document.body.append(figure);
    lessonChart(figure, chart, series)(rows, "");
    const plot = figure.querySelector(".plot");
    for (let i = 0; i < 100 && !plot.data; i++) await new Promise((then) => setTimeout(then, 50));
    const found = plot.data.map(({ type, lane, name, x, y, error_y, text }) => ({ type, lane, name, x, y, text,
        high: error_y?.array, low: error_y?.arrayminus }));
    const read = { traces: found, axis: plot.layout.yaxis, shapes: plot.layout.shapes,
        legend: [...figure.querySelectorAll(".legend > span")].map((one) => one.textContent) };
    figure.remove();
    return read;
}"""


def rows_of(chart: Any, series: list[str]) -> list[dict[str, Any]]:
    """Rows such as a lesson's run gives, each number another one."""
    some = random.Random(chart.title)
    across = ["first", "second thing", "third"] if chart.kind == "bar" else [1, 10, 100, 200]
    rows = []
    for name in series:
        for x in across:
            y = some.random() * (1 if not chart.log_y else 100)
            row = {"table": chart.table, chart.x: x, chart.y: y} | ({chart.by: name} if chart.by else {})
            row |= {chart.y_low: y - 0.02, chart.y_high: y + 0.03} if chart.y_low else {}
            rows.append(row | ({chart.text: f"{y:.2f} of it"} if chart.text else {}))
    return rows


def test_every_lesson_chart_draws_its_rows(visit: Any) -> None:
    page = visit()
    for lesson in lessons():
        names = [name for name, _ in lesson.series]
        for chart in lesson.charts:
            rows = rows_of(chart, names if chart.by else [""])
            asked = [address("learn/charts.js"), chart.as_dict(), [list(one) for one in lesson.series], rows]
            found = page.evaluate(LESSON, asked)
            for name in names if chart.by else [""]:
                (trace,) = [one for one in found["traces"] if not chart.by or one["lane"] == name]
                own = [row for row in rows if not chart.by or row[chart.by] == name]
                x = [one.replace("<br>", " ") if isinstance(one, str) else one for one in trace["x"]]
                assert (x, trace["y"]) == ([row[chart.x] for row in own], [row[chart.y] for row in own]), chart.title
                assert trace["type"] == ("bar" if chart.kind == "bar" else "scatter")
                if chart.y_low:
                    assert trace["high"] == pytest.approx([row[chart.y_high] - row[chart.y] for row in own])
                    assert trace["low"] == pytest.approx([row[chart.y] - row[chart.y_low] for row in own])
                if chart.text:
                    assert trace["text"] == [row[chart.text] for row in own]
            assert found["legend"] == (names if chart.by and len(names) > 1 else [])
            assert ("100 %" in (found["axis"].get("ticktext") or [])) == (chart.unit == "share"), chart.title
            assert found["axis"].get("type", "-") == ("log" if chart.log_y else found["axis"].get("type", "-"))
            lines = [] if chart.line is None else [chart.line]
            assert [shape["y0"] for shape in found["shapes"]] == lines


COMPARE = """async ([module, value]) => {
    const { comparison } = await import(module);
    const box = document.createElement("section");
    box.innerHTML = `<button class="back"></button><p class="note"></p><div class="choices"></div>
        <p class="protocol"></p>
        <div class="plot" style="width:600px"></div><h3></h3><div class="scores as-table"></div>
        <label class="only"><input type="checkbox"></label><div class="settings as-table"></div>`;
    document.body.append(box);
    comparison(box, () => {}).paint(value);
    const found = {}, plot = box.querySelector(".plot");
    for (const button of [...box.querySelectorAll(".choices button")].map((one) => one.textContent)) {
        [...box.querySelectorAll(".choices button")].find((one) => one.textContent === button).click();
        found[button] = plot.data.map(({ lane, x, y }) => [x, y]);
    }
    const axis = plot.layout.yaxis.ticktext;
    const scores = Object.fromEntries([...box.querySelectorAll(".scores tbody tr")].map((row) =>
        [row.querySelector("th").textContent, [...row.querySelectorAll("td")].map((cell) => cell.textContent)]));
    box.remove();
    return { found, axis, scores };
}"""


def test_a_comparison_draws_the_curves_of_its_lanes(visit: Any, served: Any) -> None:
    runs = [record(served.store, rounds=rounds) for rounds in (3, 2)]
    value = compared(served.store, runs)
    page = visit()
    told = page.evaluate(COMPARE, [address("runs/compare.js"), json.loads(json.dumps(value))])
    assert list(told["found"]) == [title for _, title in PLOT.choices[0].options]
    for name, title in PLOT.choices[0].options:
        at = [(run, lane) for run in runs for lane in LANES]
        for (run, lane), (x, y) in zip(at, told["found"][title], strict=True):
            events = [event for _, event in served.store.events(run)]
            scores = [event["scores"] for event in events if event["kind"] == "measured" and event["lane"] == lane]
            stored = [(one["edits"], float(f"{one[name]:.4g}")) for one in scores if name in one]
            assert list(zip(x, y, strict=True)) == stored, (title, lane)
    assert "100 %" in told["axis"]
    last = [event for _, event in served.store.events(runs[0])][-2]["scores"]
    assert told["scores"]["Efficacy, exact"][1] == f"{100 * float(format(last['efficacy_exact'], '.4g')):.1f} %"
