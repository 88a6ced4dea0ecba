"""Data sets: what a question is, and where questions come from (embedded, hub, the user's files)."""
