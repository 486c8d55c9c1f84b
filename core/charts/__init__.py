"""The grammar of charts: tables with units, and charts of them. The browser and `plot.py` draw from the same
grammar."""
