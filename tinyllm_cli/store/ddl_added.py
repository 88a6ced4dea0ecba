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
    sheet TEXT, -- the review sheet, or the entry on the page of view; NULL: entered by a command
    stored TEXT NOT NULL
) STRICT;
CREATE INDEX human_verdicts_by_rationale ON human_verdicts(rationale, at);
"""
"""Migration 8."""

ELICITATION_PROGRESS = """
CREATE TABLE elicitation_progress (
    -- How far a running elicitation is; its process updates the row about every second.
    elicitation INTEGER PRIMARY KEY NOT NULL REFERENCES elicitations(id) ON DELETE CASCADE,
    requests_left INTEGER NOT NULL, -- neither answered nor in flight
    in_flight INTEGER NOT NULL, -- sent, without an answer yet
    rate REAL, -- answers per second in the last half minute; NULL: not known yet
    endpoints TEXT NOT NULL, -- JSON array of [endpoint, its limit of requests in flight]
    at TEXT NOT NULL
) STRICT;
"""
"""Migration 10."""

OTHER_SHARDS = """
CREATE TABLE other_shards (
    -- Questions that another shard asks teachers about. Empty in a database that `tinyllm split` did not make.
    question TEXT PRIMARY KEY NOT NULL REFERENCES questions(hash)
) STRICT, WITHOUT ROWID;
"""
"""Migration 11."""

NODE = """
ALTER TABLE rationales ADD COLUMN
    node TEXT -- the node of a cluster that answered; NULL: there was no cluster
    DEFAULT NULL;
"""
"""Migration 12."""

CURRENCY = """
CREATE TABLE currency (
    -- Of all costs in this database. No row: nothing was charged yet.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    code TEXT NOT NULL -- ISO 4217
) STRICT;
INSERT INTO currency (id, code) SELECT 1, 'USD' WHERE EXISTS (SELECT 1 FROM elicitations WHERE cost > 0)
    OR EXISTS (SELECT 1 FROM rationales WHERE cost > 0) OR EXISTS (SELECT 1 FROM failures WHERE cost > 0);
"""
"""Migration 13."""

RATIONALE_SETS = """
CREATE TABLE rationale_sets (
    -- Every teacher, sampling and recipe that a rationale has had; triggers keep it. Counts look up recipes here.
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL, -- of samplings
    recipe TEXT NOT NULL, -- of recipes
    PRIMARY KEY (teacher, sampling, recipe)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER rationale_sets_of_new AFTER INSERT ON rationales BEGIN
    INSERT INTO rationale_sets (teacher, sampling, recipe) SELECT NEW.teacher, NEW.sampling, p.recipe FROM prompts p
    WHERE p.hash = NEW.prompt AND NOT EXISTS (SELECT 1 FROM rationale_sets s
        WHERE s.teacher = NEW.teacher AND s.sampling = NEW.sampling AND s.recipe = p.recipe);
END;
CREATE TRIGGER rationale_sets_of_changed AFTER UPDATE OF teacher, sampling, prompt ON rationales BEGIN
    INSERT INTO rationale_sets (teacher, sampling, recipe) SELECT NEW.teacher, NEW.sampling, p.recipe FROM prompts p
    WHERE p.hash = NEW.prompt AND NOT EXISTS (SELECT 1 FROM rationale_sets s
        WHERE s.teacher = NEW.teacher AND s.sampling = NEW.sampling AND s.recipe = p.recipe);
END;
INSERT INTO rationale_sets (teacher, sampling, recipe)
    SELECT DISTINCT r.teacher, r.sampling, p.recipe FROM rationales r JOIN prompts p ON p.hash = r.prompt;
"""
"""Migration 14."""
