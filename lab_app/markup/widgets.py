"""Parts of the page that the lab's own script draws: `gr.HTML` whose value is data and never markup.

Templates are constant text from this package. What people type reaches the script as data and is shown with
`textContent` alone, so it cannot become markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from core.charts.panel import Panel
from lab_app.frontend import address

EMPTY: dict[str, Any] = {"run": "", "rows": {}}


def widget(kind: str, value: Any = None, template: str = "", events: Sequence[str] = (), **props: Any) -> gr.HTML:
    """An element that the front end draws: `mount(kind, …)` of `frontend/main.js` gets its value and every change.

    `events` are the names that the script may send back. Gradio makes listeners of the words in quotes that it finds in
    `js_on_load`. The import there waits for the modules, however early the component is on the page.
    """
    names = ", ".join(f"'{name}'" for name in events)
    context = f"{{element, props, watch, trigger, events: [{names}]}}"
    return gr.HTML(
        value=EMPTY if value is None else value,
        html_template=template or f'<div class="{kind}"></div>',
        js_on_load=f"import('{address()}').then(({{mount}}) => mount('{kind}', {context}));",
        apply_default_css=False,
        elem_id=f"lab-{kind.replace(':', '-')}",
        elem_classes=["lab-widget"],
        **props,
    )


def problem(name: str, message: str = "") -> gr.HTML:
    """A place for one message, empty until there is one. Its text is escaped by the template."""
    return gr.HTML(
        message,
        html_template='<p class="problem" role="alert" dir="auto">{{value}}</p>',
        js_on_load=None,
        apply_default_css=False,
        elem_id=name,
        elem_classes=["lab-widget"],
    )


def panel(panel: Panel) -> gr.HTML:
    """The element of one panel, with its explanation folded away, and what its plot is."""
    columns = {table: [column.as_dict() for column in own] for table, own in panel.columns.items()}
    events = ["point_click", *panel.requests]
    declared = {"plot": panel.plot.as_dict(), "columns": columns}
    return widget(f"panel:{panel.key}", template=frame(panel), events=events, asked={}, **declared)


def frame(panel: Panel) -> str:
    """The panel's constant markup."""
    title = panel.title  # markup of this package, e.g. a subscript
    name = escape(title.replace("<sub>", "").replace("</sub>", ""))
    return f"""
<section class="panel" aria-label="{name}">
  <header>
    <h3>{title}</h3>
    <div class="tools">
      <button type="button" data-do="table" title="Read as a table" aria-pressed="false">Table</button>
      <details class="save"><summary title="Save this panel">Save</summary>
        <div><button type="button" data-do="png">PNG</button><button type="button" data-do="svg">SVG</button>
        <button type="button" data-do="csv">CSV</button></div></details>
      <button type="button" data-do="wide" title="Enlarge" aria-label="Enlarge">⤢</button>
    </div>
  </header>
  <p class="protocol">{panel.protocol}</p>
  <div class="choices"></div>
  <div class="numbers"></div>
  <div class="canvas"><div class="plot"></div><p class="empty">{panel.promise}</p></div>
  <div class="as-table" hidden></div>
  <details class="why"><summary>What does this show?</summary><p>{panel.explanation}</p>
  <div class="equation">{panel.equation}</div></details>
</section>"""
