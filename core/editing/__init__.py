"""Editing: keys, values, layer statistics, methods, guards, and the ledger of all updates."""
