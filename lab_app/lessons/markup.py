"""The constant markup of the Learn page; its script inserts predictions, progress and results as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from lab_app.lessons.lesson import Choice, Lesson, Slider

PAGE = """
<div class="learn">
  <header class="bar"><div class="brand"><b>Edit Lab</b><span>Learn</span></div>
    <nav aria-label="Lessons"><ol>{tabs}</ol></nav>
    <div class="right"><a href="./" data-do="lab">The lab</a>
      <button type="button" data-do="theme" title="Light or dark" aria-label="Light or dark">◐</button></div></header>
  <main>{lessons}</main>
</div>"""

TAB = """
<li><a href="?lesson={number}" data-lesson="{number}" title="{title}"><b>{number}</b><span>{short}</span></a></li>"""

LESSON = """
<article class="lesson" data-lesson="{number}" aria-labelledby="lesson-{number}" hidden>
  <div class="asks">
    <p class="place">Lesson {number} of {count} · {title}</p>
    <h2 id="lesson-{number}">{question}</h2>
    <p class="lead">{lead}</p>
    <section class="step predict" aria-label="Predict"><fieldset><legend><i>1</i>{says}</legend>{predict}</fieldset>
    </section>
    <section class="step run" aria-label="Run"><h3><i>2</i>Run the experiment</h3><p>{does}</p>
      <div class="deed"><button type="button" class="primary" data-do="begin" disabled>Run the experiment</button>
        <button type="button" data-do="stop" hidden>Stop</button>
        <button type="button" data-do="resume" hidden>Continue</button>
        <button type="button" data-do="again" hidden>Again, {again}</button><span class="takes">{takes}</span></div>
      <div class="progress"><div class="meter" role="progressbar" aria-label="Progress" aria-valuemin="0"
        aria-valuemax="100"><i></i></div>
        <p><span class="says" role="status" dir="auto"></span><span class="left"></span></p></div>
      <p class="problem" role="alert" dir="auto"></p></section>
    <section class="equations" aria-label="Equation and paper"><div class="equation">{equation}</div>
      <p>{where}</p><p class="paper">{paper}</p></section>
  </div>
  <section class="shows" aria-label="Results">
    <div class="verdict" aria-live="polite"></div>
    <div class="charts">{charts}</div>
    <div class="sentences" aria-live="polite"></div>
    <p class="protocol">{protocol}</p>
    <p class="links" hidden><a data-do="open" href="./">Open this run in the lab</a>
      <a data-do="address" href="./">Link to this result</a></p>
  </section>
</article>"""

CHART = """<figure class="chart"><figcaption>{title}{legend}</figcaption>
<div class="plot"></div><p class="empty">{promise}</p></figure>"""


def page(lessons: Sequence[Lesson]) -> str:
    """All lessons, each hidden until it is opened."""
    tabs = "".join(
        TAB.format(number=i, title=escape(lesson.title), short=escape(lesson.short))
        for i, lesson in enumerate(lessons, 1)
    )
    return PAGE.format(tabs=tabs, lessons="".join(article(one, i, len(lessons)) for i, one in enumerate(lessons, 1)))


def article(lesson: Lesson, number: int, count: int) -> str:
    """One lesson."""
    texts = {
        name: escape(getattr(lesson, name))
        for name in ("title", "question", "lead", "does", "again", "where", "paper", "protocol")
    }
    legend = '<span class="legend"></span>' if len(lesson.series) > 1 else ""
    promise = escape(lesson.promise)
    charts = "".join(CHART.format(title=escape(one.title), legend=legend, promise=promise) for one in lesson.charts)
    return LESSON.format(
        number=number,
        count=count,
        says=escape(lesson.predict.says),
        predict=prediction(lesson.predict, number),
        takes=escape(f"about {lesson.takes} on two free cores"),
        equation=lesson.equation,
        charts=charts,
        **texts,
    )


def prediction(predict: Slider | Choice, number: int) -> str:
    """The controls of a prediction."""
    if isinstance(predict, Choice):
        return "".join(
            f'<label class="choice"><input type="radio" name="predict-{number}" value="{escape(key)}">'
            f"<span>{escape(said)}</span></label>"
            for key, said in predict.options
        )
    left, right = (escape(end) for end in predict.ends)
    return (
        f'<div class="slider"><input type="range" min="0" max="100" step="{predict.step}" value="50" data-unset '
        f'aria-label="{escape(predict.says)}"><output>–</output></div><div class="ends"><span>{left}</span>'
        f"<span>{right}</span></div>"
    )


def data(lessons: Sequence[Lesson]) -> list[dict[str, Any]]:
    """The data of each lesson for the script: its charts, their colours, and the texts of its choices."""
    return [
        {
            "title": lesson.title,
            "charts": [chart.as_dict() for chart in lesson.charts],
            "series": [list(one) for one in lesson.series],
            "options": dict(lesson.predict.options) if isinstance(lesson.predict, Choice) else None,
            "stages": 2 if lesson.study else 1,
        }
        for lesson in lessons
    ]
