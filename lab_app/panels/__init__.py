"""The panels of the page, in the order in which they stand on it."""

from lab_app.panels import drift, energy, frontier, maps, scores, similarity, tasks
from lab_app.panels.panel import Panel

PANELS: tuple[Panel, ...] = tuple(module.PANEL for module in (scores, tasks, energy, similarity, drift, frontier, maps))
