"""The tables and columns that migrations after the seventh add, as they are in the database now.

SQLite keeps a column's comment only before its last word.
"""

from __future__ import annotations

LEARNABILITY = """
CREATE TABLE learnability (
    -- How likely a rationale is for a model that is not trained on it yet.
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    text_hash TEXT NOT NULL, -- of what was scored: the teacher's prefix and the text after the gates
    model TEXT NOT NULL,
    model_fingerprint TEXT NOT NULL, -- of a local model's files; '': a model of the hub
    log_likelihood REAL NOT NULL, -- nats per token of the text after its input, on average
    input_truncated INTEGER NOT NULL, -- 1: the model did not read all of question and text
    created TEXT NOT NULL,
    PRIMARY KEY (rationale, text_hash, model, model_fingerprint)
) STRICT, WITHOUT ROWID;
"""
"""Migration 8."""

HUMAN_VERDICTS = """
CREATE TABLE human_verdicts (
    -- What people decided about rationales. All are kept; of one rationale the latest counts, before the gates.
    id INTEGER PRIMARY KEY,
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    reviewer TEXT NOT NULL,
    at TEXT NOT NULL, -- time of the decision
    verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject', 'edit')),
    text TEXT CHECK ((text IS NULL) = (verdict = 'reject')), -- what a student learns
    reason TEXT CHECK (reason IS NOT NULL OR verdict <> 'reject'),
    sheet TEXT, -- the review sheet that it was imported from; NULL: entered by a command
    stored TEXT NOT NULL
) STRICT;
CREATE INDEX human_verdicts_by_rationale ON human_verdicts(rationale, at);
"""
"""Migration 8."""

NODE = """
ALTER TABLE rationales ADD COLUMN
    node TEXT -- the node of a cluster that answered; NULL: there was no cluster
    DEFAULT NULL;
"""
"""Migration 10."""
