"""The lessons of the Learn page, one file each, in the order in which they are taught. A module exports its lesson as
LESSON: data, and one pure function that says what a run showed."""

from lab_app.lessons import collapse, guard, misleading, one_edit, spectrum
from lab_app.lessons.lesson import Lesson

LESSONS: tuple[Lesson, ...] = tuple(module.LESSON for module in (one_edit, collapse, spectrum, guard, misleading))
