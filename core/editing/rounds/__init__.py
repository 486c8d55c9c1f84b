"""One round of edits, from target values to updates that passed the guards."""
