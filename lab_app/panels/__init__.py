"""The panels of the page, in the order in which they stand on it."""

from lab_app.panels import directions, drift, energy, frontier, maps, scores, similarity, tasks
from lab_app.panels.panel import Panel

MODULES = (scores, tasks, energy, similarity, drift, directions, frontier, maps)
PANELS: tuple[Panel, ...] = tuple(module.PANEL for module in MODULES)
