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

RATIONALE_COUNTS = """
CREATE TABLE rationale_counts (
    -- How many rationales of each teacher, sampling and recipe each split has. Triggers keep it.
    dataset TEXT NOT NULL,
    split TEXT NOT NULL,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL, -- of samplings
    recipe TEXT NOT NULL, -- of recipes
    rationales INTEGER NOT NULL, -- at each position of their questions
    questions INTEGER NOT NULL, -- positions that have a rationale
    samples INTEGER NOT NULL, -- the greatest number of a sample, plus one
    latest INTEGER NOT NULL, -- the greatest id of a rationale
    PRIMARY KEY (dataset, split, teacher, sampling, recipe)
) STRICT, WITHOUT ROWID;
CREATE TABLE uncounted_splits (
    -- Splits whose rationale_counts are wrong, since something was deleted or renamed. They are counted when needed.
    dataset TEXT NOT NULL,
    split TEXT NOT NULL,
    PRIMARY KEY (dataset, split)
) STRICT, WITHOUT ROWID;
INSERT INTO uncounted_splits (dataset, split)
    SELECT d.name, s.value FROM datasets d, json_each('["train", "valid", "test"]') s;
CREATE TRIGGER rationale_counts_of_new AFTER INSERT ON rationales BEGIN
    INSERT INTO rationale_counts (dataset, split, teacher, sampling, recipe, rationales, questions, samples, latest)
    SELECT dq.dataset, dq.split, NEW.teacher, NEW.sampling, p.recipe, 1, NOT EXISTS (SELECT 1 FROM rationales r
        CROSS JOIN prompts o ON o.hash = r.prompt WHERE r.question = NEW.question AND r.teacher = NEW.teacher
        AND r.sampling = NEW.sampling AND r.id <> NEW.id AND o.recipe = p.recipe), NEW.sample + 1, NEW.id
    FROM prompts p CROSS JOIN dataset_questions dq WHERE p.hash = NEW.prompt AND dq.question = NEW.question
    ON CONFLICT DO UPDATE SET rationales = rationales + 1, questions = questions + excluded.questions,
    samples = max(samples, excluded.samples), latest = max(latest, excluded.latest);
END;
CREATE TRIGGER rationale_counts_of_changed AFTER UPDATE OF id, question, teacher, prompt, sampling, sample
ON rationales BEGIN
    INSERT INTO uncounted_splits (dataset, split) SELECT dataset, split FROM dataset_questions
    WHERE question IN (OLD.question, NEW.question) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER rationale_counts_of_gone AFTER DELETE ON rationales BEGIN
    INSERT INTO uncounted_splits (dataset, split) SELECT dataset, split FROM dataset_questions
    WHERE question = OLD.question ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER rationale_counts_of_new_place AFTER INSERT ON dataset_questions
WHEN EXISTS (SELECT 1 FROM rationales WHERE question = NEW.question) BEGIN
    INSERT INTO rationale_counts (dataset, split, teacher, sampling, recipe, rationales, questions, samples, latest)
    SELECT NEW.dataset, NEW.split, r.teacher, r.sampling, p.recipe, count(*), 1, max(r.sample) + 1, max(r.id)
    FROM rationales r CROSS JOIN prompts p ON p.hash = r.prompt WHERE r.question = NEW.question
    AND NOT EXISTS (SELECT 1 FROM uncounted_splits u WHERE u.dataset = NEW.dataset AND u.split = NEW.split)
    GROUP BY r.teacher, r.sampling, p.recipe
    ON CONFLICT DO UPDATE SET rationales = rationales + excluded.rationales, questions = questions + 1,
    samples = max(samples, excluded.samples), latest = max(latest, excluded.latest);
END;
CREATE TRIGGER rationale_counts_of_changed_place AFTER UPDATE OF dataset, split, question ON dataset_questions BEGIN
    INSERT INTO uncounted_splits (dataset, split) VALUES (OLD.dataset, OLD.split), (NEW.dataset, NEW.split)
    ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER rationale_counts_of_gone_place AFTER DELETE ON dataset_questions BEGIN
    INSERT INTO uncounted_splits (dataset, split) VALUES (OLD.dataset, OLD.split) ON CONFLICT DO NOTHING;
END;
"""
"""Migration 15."""
