"""What holds for everything that a study finds."""

import json

from core.measures.study.result import StudyResult


def well_formed(found: StudyResult) -> dict:
    """Rows of a table have the same columns, charts draw columns of tables that have rows, and all of it is JSON."""
    for name, rows in found.tables.items():
        for row in rows:
            assert list(row) == list(rows[0]), f"{name}: {row}"
    for chart in found.charts:
        assert found.tables[chart.table], f"{chart.title}: nothing to draw"
        columns = found.tables[chart.table][0]
        for column in (chart.x, chart.y, chart.z, chart.by, chart.facet, chart.y_low, chart.y_high, chart.text):
            assert column is None or column in columns, f"{chart.title}: no column {column}"
    assert found.protocol
    payload = found.as_dict()
    for name, rows in found.tables.items():
        assert rows or found.empty[name], f"{name}: no rows, and no word why"
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    return payload
