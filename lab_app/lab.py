"""The state of the page's process: the store, the embedded world, and the worker that it keeps alive."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.facts.dataset import known
from core.facts.readers.everyday import EverydayWorld
from core.facts.readers.pocket import PocketWorld
from core.names import WORLDS
from core.packaged import all_at_hand
from core.panels.energy import curve
from core.paths import ASSETS
from core.runs.spec.admission import EVERYTHING, Offer, in_spec
from core.runs.spec.run_spec import RunSpec
from core.runs.store.store import Command, Store
from core.runs.worker.process import WorkerProcess
from lab_app.server.owner import owns

CHECKED_EVERY = 2.0  # seconds between two looks at whether the worker lives
LOOKED_EVERY = 0.05  # seconds between two looks for an answer
NOTHING_MORE = Offer()
MOST_WAITING = 200  # runs of all visitors: each is a folder on the disk


class Lab:
    """One lab for all its visitors. `offered` is what they may name besides what came with it; whoever has the `key`
    runs it, and may name anything. `worker=False` leaves starting a worker to others (tests, clusters)."""

    def __init__(
        self,
        home: Path | str,
        assets: Path = ASSETS,
        worker: bool = True,
        offered: Offer = NOTHING_MORE,
        key: str = "",
    ):
        self.store = Store(home)
        self.assets, self.key = assets, key
        self.offered = replace(offered, models=(*all_at_hand(assets), *offered.models))
        self.trouble = ""  # why the worker cannot start
        self.exposed = ""  # what whoever runs the lab should know of who reaches it
        self._worker = WorkerProcess(self.store.home, parent=os.getpid()) if worker else None
        self._closed, self._looking = threading.Event(), threading.Lock()
        if self._worker is not None:
            threading.Thread(target=self._keep_alive, daemon=True, name="worker-keeper").start()

    def close(self) -> None:
        """Let the worker finish its edit and exit."""
        self._closed.set()
        if self._worker is not None:
            self._worker.close()

    @cached_property
    def world(self) -> PocketWorld | None:
        """The embedded world, or None if it has not been built."""
        try:
            return PocketWorld.load(self.assets / "pocket" / "world")
        except UserError:
            return None

    @cached_property
    def everyday(self) -> EverydayWorld:
        """The everyday facts, for real models."""
        return EverydayWorld.read()

    def world_of(self, model: Any) -> PocketWorld | None:
        """The world from which facts for a model are sampled."""
        own = WORLDS.get(str(model or "").strip()) == "everyday"
        return self.everyday if own else self.world

    @cached_property
    def secret(self) -> str:
        """The key that encrypts visitors' browser state; stored, so that it survives a restart."""
        path = self.store.home / "visitors.key"
        try:
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(secrets.token_hex(16), encoding="ascii")
        except FileExistsError:
            pass
        return path.read_text(encoding="ascii")

    @cached_property
    def curves(self) -> list[dict[str, Any]]:
        """Energy curves of the pocket model's layers, from its latest run here: what τ means before one begins."""
        for run in self.store.runs():
            if run.title.endswith("pocket"):
                for _, event in self.store.events(run.id):
                    if event["kind"] == "started":
                        return [curve(spectrum, 60) for spectrum in event["spectra"]]
        return []

    def told(self, message: str) -> str:
        """A message for visitors, without the lab's path on this computer."""
        return message.replace(str(self.store.home), "the lab’s folder")

    def offer(self, request: Any) -> Offer:
        """What a visitor may name, by their request."""
        return EVERYTHING if owns(request, self.key) else self.offered

    def start(self, spec: Mapping[str, Any], owner: str = "", offer: Offer | None = None) -> str:
        """Queue a run for somebody who may name what is in `offer` (None: any visitor); returns its id. Raises
        `SpecError` with all problems."""
        checked = RunSpec.from_dict(spec)
        admit(checked, offer or self.offered)
        if (waiting := len(self.store.queue())) >= MOST_WAITING:
            raise UserError(f"{waiting:,} runs are waiting already; start another when some are done")
        run = self.store.create_run(checked.as_dict(), owner=owner)
        self._look()
        return run

    async def answers(self, commands: Mapping[str, int], patience: float) -> AsyncIterator[tuple[str, Command]]:
        """The answers to these commands as they arrive; those that take longer than `patience` seconds are left out."""
        waiting, until = dict(commands), time.monotonic() + patience
        while waiting and time.monotonic() < until:
            for name, number in list(waiting.items()):
                command = await asyncio.to_thread(self.store.answer, number)
                if command is None or command.state != "waiting":
                    del waiting[name]
                    if command is not None:
                        yield name, command
            if waiting:
                await asyncio.sleep(LOOKED_EVERY)

    def _keep_alive(self) -> None:
        while not self._closed.is_set():
            self._look()
            self._closed.wait(CHECKED_EVERY)

    def _look(self) -> None:
        if self._worker is None:
            return
        with self._looking:
            try:
                self._worker.ensure()
                self.trouble = ""
            except (UserError, OSError) as error:
                self.trouble = self.told(str(error))


def admit(spec: RunSpec, offer: Offer) -> None:
    """Raises `UserError` for a spec that names what is not offered, or a dataset that is nowhere to be fetched: the
    worker fetches those on the hub when the run starts."""
    offer.admit(in_spec(spec))
    kind = known().get(spec.facts.source or "")
    if kind is not None and not spec.facts.path and not kind.hub.get(spec.facts.subset or kind.subsets[0]):
        where = f" It is published at {kind.home}." if kind.home else ""
        raise UserError(f"{kind.title} is not on the hub: upload its file on the page instead.{where}")
