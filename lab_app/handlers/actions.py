"""Handlers of the page's controls, one function each."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import gradio as gr

from core.errors import UserError
from core.facts.source import MOST
from core.panels.maps import drawn
from core.runs.spec.plan import Past
from core.runs.spec.problems import SpecError
from lab_app.form import experiment, pasted, sources
from lab_app.form.examples import examples
from lab_app.form.experiment import Placed, rows_of
from lab_app.handlers.streams import Streams
from lab_app.handlers.watch import FEEDS, Beside, watch
from lab_app.lab import Lab
from lab_app.markup import text

PROBE_PATIENCE, MAP_PATIENCE = 30.0, 300.0  # seconds
LONGEST_PROMPT = 500  # characters
NEW_TOKENS = 12  # of an answer
RUNS_SHOWN = 12
FORM = (  # the experiment's fields
    *("facts", "count", "seed", "lanes", "model", "round_size", "single", "measured", "tasks", "maps", "free"),
)
CONTROLS = {  # which of pause, step, undo, stop can be pressed, and what the first says
    "queued": (True, False, False, True, "Pause"),
    "running": (True, True, False, True, "Pause"),
    "paused": (True, True, True, True, "Resume"),
    "stopped": (True, True, True, False, "Resume"),
    "failed": (True, True, True, False, "Resume"),
    "done": (False, False, True, False, "Pause"),
}
LATER = "The worker is busy or starting. Try again in a moment."


class Actions:
    """The handlers, with their lab. `streams`: the streams of open pages; `beside`: what features show of a run besides
    its events."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.streams = Streams()
        self.beside: dict[str, Beside] = {}

    # -- coming and going

    def attach(self, visitor: str, request: gr.Request) -> tuple[Any, ...]:
        """A page was opened: its visitor, the run of its address, and the visitor's runs. The form is filled with the
        run's spec."""
        visitor = visitor or secrets.token_urlsafe(16)
        run = str(request.query_params.get("run") or "")[:64]
        found = self.lab.store.get(run) if run else None
        form = experiment.form(found.spec) if found is not None and found.spec else {}
        form = {name: gr.update(value=value) for name, value in form.items()}
        for name, offered in self.offered(request).items():
            form[name] = (form.get(name) or gr.update()) | offered
        warned = self.lab.exposed if self.lab.offer(request).everything and self.lab.exposed else gr.skip()
        return visitor, run, self.runs(visitor, request), warned, *(form.get(name, gr.skip()) for name in FORM)

    def offered(self, request: gr.Request) -> dict[str, dict[str, Any]]:
        """The choices of the form, by field: the owner of the lab may type any model, and fetch any dataset."""
        offer = self.lab.offer(request)
        said = "Model: pocket, a hub id, or a folder" if offer.everything else "Model"
        models = {"choices": [(name, name) for name in offer.known_models], "label": said}
        return {"model": models, "facts": {"offered": sources.offered(self.lab.world, offer)}}

    def runs(self, visitor: str, request: gr.Request) -> dict[str, Any]:
        """The visitor's runs for the menu, newest first."""
        found = self.lab.store.runs(owner(visitor, request))[:RUNS_SHOWN]
        return {
            "runs": [
                {
                    "id": run.id,
                    "title": run.title,
                    "says": text.STATES.get(run.status, run.status),
                    "created": run.created,
                }
                for run in found
            ]
        }

    async def follow(self, run: str, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Stream updates to the page until it is closed or requests a new stream."""
        shown: Any = None
        last: dict[str, Any] = {}  # said again where there is no news: what is sent is how values differ from the last
        with self.streams.opened(request) as listened_to:
            feed = watch(self.lab.store, run, lambda: self.lab.trouble, self.beside, listened_to)
            async for changed in feed:
                status = (changed.get("status") or {}).get("state", {}).get("status", shown)
                buttons = controls(status) if status != shown else [gr.skip()] * 4
                shown = status
                last |= changed
                yield [last.get(name, gr.skip()) for name in (*FEEDS, *self.beside)] + buttons

    def rest(self, request: gr.Request) -> None:
        """The page is hidden: it gets no updates until it requests them again."""
        self.streams.end(request)

    # -- the experiment

    def paste(self, facts: Any, event: gr.EventData) -> Any:
        """Append rows from pasted text to the table."""
        rows = rows_of(facts)
        try:
            added = pasted.parse(str(event._data.get("text", "")))
            if len(rows) + len(added) > MOST:
                raise UserError(f"{len(rows) + len(added):,} rows in total; a run takes at most {MOST:,} facts.")
        except UserError as error:
            return told(message=str(error))
        kept = [row for row in rows if any(str(row.get(name) or "").strip() for name in ("subject", "target"))]
        return told(message=f"{text.plural(len(added), 'row')} added.", good=True, value={"rows": kept + added})

    def example_rows(self, model: str | None) -> Any:
        """The table as a new visitor finds it: facts of the model's world."""
        return told(value={"rows": examples(self.lab.world_of(model))})

    def start(self, request: gr.Request, *given: Any) -> tuple[Any, ...]:
        """Check the experiment and queue it; problems are shown at their places. `given`: the values of `FORM`, and
        the visitor."""
        asked, visitor = dict(zip(FORM, given[:-1], strict=True)), given[-1]
        places: Sequence[int] = ()
        count, seed = whole(asked["count"]), whole(asked["seed"])
        try:
            chosen, places = experiment.asked(asked["facts"], count, seed, self.lab.world_of(asked["model"]))
        except UserError as error:
            return gr.skip(), *where(Placed(fields={"facts": str(error)})), gr.skip()
        try:
            spec = experiment.spec(chosen, asked | {"seed": seed, "round_size": whole(asked["round_size"], 1)})
            run = self.lab.start(spec, owner(visitor, request), self.lab.offer(request))
        except SpecError as error:
            return gr.skip(), *where(experiment.placed(error.problems, places)), gr.skip()
        except UserError as error:
            return gr.skip(), *where(Placed(fields={"run": str(error)})), gr.skip()
        return run, *where(Placed()), self.runs(visitor, request)

    def command(self, kind: str, run: str) -> None:
        """Pause, resume, step or stop."""
        if run and self.lab.store.get(run, spec=False) is not None:
            self.lab.store.command(run, kind)

    def pause(self, run: str) -> None:
        found = self.lab.store.get(run) if run else None
        if found is not None:
            self.command("pause" if found.status in ("queued", "running") else "resume", run)

    def step(self, run: str) -> None:
        self.command("step", run)

    def stop(self, run: str) -> None:
        self.command("stop", run)

    async def undo(self, run: str) -> str:
        """Undo one round of the run; returns the problem, if any. The dock shows the result."""
        try:
            if run:
                await self.undone(run)
        except UserError as error:
            return f"{str(error)[:1].upper()}{str(error)[1:]}."
        return ""

    async def undone(self, run: str, rounds: int = 1) -> dict[str, Any]:
        """Undo a number of rounds; returns the worker's answer. Raises `UserError` if that is impossible.

        The command names the target round, so a double click undoes one round.
        """
        events = await asyncio.to_thread(self.lab.store.events, run)
        last = Past(event for _, event in events).last_round
        if not last:
            raise UserError("there is nothing to undo: no round has been edited")
        command = self.lab.store.command(run, "undo", {"to": max(0, last - max(1, rounds))})
        async for _, found in self.lab.answers({"undo": command}, PROBE_PATIENCE):
            if found.state == "failed":
                raise UserError(str((found.answer or {}).get("message", "the round could not be undone")))
            return found.answer
        raise UserError("the worker is busy or starting: the undo is queued")

    # -- questions

    async def ask(self, run: str, model: str | None, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        """Continue a typed prompt with the unedited model and with every lane at the selected round, or at the latest
        round as if the selected one had not been edited. Before any run: with the chosen model, if it is loaded (and
        offered to the visitor)."""
        offer = self.lab.offer(request)
        model = str(model or "") if offer.everything or model in offer.known_models else ""
        prompt, round_ = str(event._data.get("prompt", ""))[:LONGEST_PROMPT], event._data.get("round")
        round_ = round_ if isinstance(round_, int) else None
        without = [round_] if event._data.get("without") and round_ else []
        async for answer in self.answered(run, prompt, None if without else round_, without, model=model):
            yield answer

    async def answered(
        self,
        run: str,
        prompt: str,
        round_: int | None = None,
        without: Sequence[int] = (),
        lanes: Sequence[str] = (),
        model: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """The answers so far, after each further one: of all lanes, or of these. Without a run, or if it has no lanes
        yet, only the unedited model answers."""
        names = lanes or self.lane_names(run)
        said: dict[str, dict[str, Any]] = {name: {"lane": name, "base": not name} for name in ("", *names)}

        def state(message: str) -> dict[str, Any]:
            asked = {"prompt": prompt, "round": round_, "without": list(without)}
            return asked | {"message": message, "answers": list(said.values())}

        question = {"prompt": prompt, "round": round_, "without": without, "model": model, "new_tokens": NEW_TOKENS}
        answered_by = ""
        try:
            commands = {
                name: self.lab.store.command(run, "probe", question | {"lane": name}) for name in names or ("",)
            }
        except UserError as error:
            yield state(str(error))
            return
        yield state("asking…")
        heard: set[str] = set()
        async for name, command in self.lab.answers(commands, PROBE_PATIENCE):
            answer = command.answer or {}
            heard.add(name)
            said[""] |= spoken(answer.get("before") or {})
            said[name] |= spoken(answer.get("after") or answer)
            if not names and "model" in answer:
                answered_by = f"The model {answer['model']}, before any edit."
            yield state("asking…")
        yield state(answered_by if len(heard) == len(commands) else LATER)

    async def map(self, run: str, shown: Any, event: gr.EventData) -> AsyncIterator[Any]:
        """A map by another projection for every lane at the selected round, in addition to earlier ones."""
        method, round_ = str(event._data.get("method")), event._data.get("round")
        names = self.lane_names(run)
        if not names or method not in ("tsne", "umap"):
            return
        kept: list[dict[str, Any]] = []
        yield gr.update(asked={"maps": kept, "message": f"{method} is being computed; the first time takes longer."})
        commands = {
            name: self.lab.store.command(run, "map", {"lane": name, "round": round_, "method": method})
            for name in names
        }
        trouble = ""
        async for name, command in self.lab.answers(commands, MAP_PATIENCE):
            if command.state == "failed":
                trouble = str((command.answer or {}).get("message", "The map could not be drawn."))
            else:
                kept.append({"lane": name} | drawn_map({"method": method} | (command.answer or {})))
            yield gr.update(asked={"maps": kept, "message": trouble})
        if len(kept) < len(names) and not trouble:
            yield gr.update(asked={"maps": kept, "message": "The worker is busy. Request the map again later."})

    def lane_names(self, run: str) -> list[str]:
        """The labels of a run's lanes, once it has started, including added ones."""
        started = [event for _, event in self.lab.store.events(run) if event["kind"] == "started"] if run else []
        return [lane["label"] for lane in started[-1]["lanes"]] if started else []


def owner(visitor: str, request: gr.Request) -> str:
    """The owner of a visitor's runs: the login name, or the id stored in the browser."""
    return getattr(request, "username", None) or visitor


def whole(number: Any, least: int = 0) -> int:
    """A typed count; `least` if there is none."""
    try:
        return max(least, int(number))
    except (TypeError, ValueError, OverflowError):
        return least


def told(items: Sequence[Mapping[str, Any]] = (), message: str = "", good: bool = False, **changes: Any) -> Any:
    """Problems for the table or the lanes, with other changes of them."""
    return gr.update(problems={"items": list(items), "message": message, "good": good}, **changes)


def where(found: Placed) -> tuple[Any, Any, Any, str]:
    """Problems of facts, lanes, the model and the rest, each for its place."""
    fields = dict(found.fields)
    facts, model = fields.pop("facts", ""), fields.pop("model", "")
    if found.facts:
        facts = f"{text.plural(len(found.facts), 'row')} cannot be used: see above." + (f" {facts}" if facts else "")
    rest = " ".join(message if name == "run" else f"{name}: {message}" for name, message in fields.items())
    return told(found.facts, facts), told(found.lanes), model, rest


def controls(status: str | None) -> list[Any]:
    """Updates of the buttons pause, step, undo and stop."""
    pause, *others, says = CONTROLS.get(status or "", (False, False, False, False, "Pause"))
    return [gr.update(interactive=pause, value=says), *(gr.update(interactive=other) for other in others)]


def spoken(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as shown on the page: the continuation, and the most likely next tokens with their probabilities."""
    if "text" in answer:
        tokens = [[str(token), float(share)] for token, share in answer.get("next") or ()]
        return {"text": str(answer["text"])[:LONGEST_PROMPT], "next": tokens}
    return {"message": str(answer["message"])} if "message" in answer else {}


def drawn_map(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A requested map, thinned like the maps of a round."""
    return {"round": answer.get("round")} | drawn(answer)
