"""The grammar of charts: tables with units, and what is drawn of them. The browser and `plot.py` both draw from it."""
