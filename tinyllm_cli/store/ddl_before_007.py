"""The tables as migrations 1 to 6 made them. Migration 7 replaces them by those in `ddl`; these statements never
change."""

FIRST = """
CREATE TABLE datasets (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    imported TEXT NOT NULL
) STRICT;

CREATE TABLE questions (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    options TEXT NOT NULL,
    answer INTEGER NOT NULL,
    context TEXT
) STRICT;

CREATE TABLE dataset_questions (
    dataset TEXT NOT NULL REFERENCES datasets(name),
    split TEXT NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    PRIMARY KEY (dataset, split, position),
    UNIQUE (dataset, split, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_questions_by_question ON dataset_questions(question);

CREATE INDEX dataset_questions_by_hash ON dataset_questions(dataset, split, question);

CREATE TABLE prompts (
    hash TEXT PRIMARY KEY,
    question TEXT NOT NULL REFERENCES questions(hash),
    recipe TEXT NOT NULL,
    teacher_forcing INTEGER NOT NULL,
    examples TEXT NOT NULL,
    messages TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE samplings (
    hash TEXT PRIMARY KEY,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    temperature REAL NOT NULL,
    top_p REAL NOT NULL,
    max_tokens INTEGER NOT NULL,
    stop TEXT NOT NULL,
    seed INTEGER NOT NULL,
    engine TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE TABLE rationales (
    id INTEGER PRIMARY KEY,
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    answer INTEGER,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL,
    cost REAL,
    created TEXT NOT NULL,
    UNIQUE (question, teacher, prompt, sampling, sample)
) STRICT;

CREATE TABLE failures (
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (question, teacher, prompt, sampling, sample)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    student TEXT NOT NULL,
    dataset TEXT NOT NULL REFERENCES datasets(name),
    alpha TEXT NOT NULL,
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    lineage TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
    figures TEXT NOT NULL,
    folder TEXT NOT NULL,
    command TEXT NOT NULL,
    versions TEXT NOT NULL,
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;

CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('run', 'model', 'teacher')),
    subject TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    run INTEGER REFERENCES runs(id),
    dataset TEXT NOT NULL REFERENCES datasets(name),
    split TEXT NOT NULL,
    scoring TEXT NOT NULL CHECK (scoring IN ('rank', 'generate')),
    questions INTEGER NOT NULL,
    chance REAL NOT NULL,
    majority REAL NOT NULL,
    correct INTEGER,
    unparseable INTEGER,
    inputs_cut INTEGER,
    seconds REAL,
    created TEXT NOT NULL,
    UNIQUE (kind, subject, fingerprint, dataset, split, scoring, questions)
) STRICT;

CREATE TABLE predictions (
    evaluation INTEGER NOT NULL REFERENCES evaluations(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    option INTEGER,
    correct INTEGER NOT NULL,
    scores TEXT,
    text TEXT,
    input_cut INTEGER NOT NULL,
    PRIMARY KEY (evaluation, key)
) STRICT, WITHOUT ROWID;
"""

HOSTED = """
ALTER TABLE rationales ADD COLUMN reasoning TEXT;
ALTER TABLE rationales ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE rationales ADD COLUMN last_error TEXT;
ALTER TABLE rationales ADD COLUMN cap INTEGER;
ALTER TABLE failures ADD COLUMN prompt_tokens INTEGER;
ALTER TABLE failures ADD COLUMN completion_tokens INTEGER;
ALTER TABLE failures ADD COLUMN cost REAL;

CREATE TABLE elicitations (
    id INTEGER PRIMARY KEY,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    dataset TEXT NOT NULL,
    split TEXT NOT NULL,
    recipe TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed', 'killed')),
    replies INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL,
    pace TEXT NOT NULL DEFAULT '[]',
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;

CREATE TABLE claims (
    prompt TEXT NOT NULL,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL,
    sample INTEGER NOT NULL,
    elicitation INTEGER NOT NULL REFERENCES elicitations(id) ON DELETE CASCADE,
    PRIMARY KEY (prompt, teacher, sampling, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_elicitation ON claims(elicitation);
"""

BATCHES = """
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    id TEXT,
    token TEXT NOT NULL UNIQUE,
    elicitation INTEGER NOT NULL REFERENCES elicitations(id),
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    url TEXT NOT NULL,
    state TEXT NOT NULL,
    requests INTEGER NOT NULL DEFAULT 0,
    submitted TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;
CREATE INDEX batches_open ON batches(teacher) WHERE finished IS NULL;
CREATE INDEX batches_by_elicitation ON batches(elicitation);

ALTER TABLE claims ADD COLUMN batch INTEGER REFERENCES batches(number);
CREATE INDEX claims_by_batch ON claims(batch) WHERE batch IS NOT NULL;
"""

PROMPTS = """
CREATE TABLE prompts_in_order (
    hash TEXT PRIMARY KEY NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    recipe TEXT NOT NULL,
    teacher_forcing INTEGER NOT NULL,
    examples TEXT NOT NULL,
    messages TEXT NOT NULL
) STRICT;
INSERT INTO prompts_in_order SELECT hash, question, recipe, teacher_forcing, examples, messages FROM prompts;
DROP TABLE prompts;
ALTER TABLE prompts_in_order RENAME TO prompts;
"""

VERDICTS = """
CREATE TABLE verdicts (
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    gates TEXT NOT NULL REFERENCES gates(hash),
    verdict TEXT NOT NULL CHECK (verdict IN ('kept', 'repaired', 'rejected')),
    text TEXT,
    findings TEXT NOT NULL,
    PRIMARY KEY (rationale, gates)
) STRICT, WITHOUT ROWID;
CREATE TABLE gates (
    hash TEXT PRIMARY KEY NOT NULL,
    settings TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE usefulness (
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    model TEXT NOT NULL,
    gain REAL NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (rationale, text, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    plan TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE cells (
    experiment INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    run INTEGER REFERENCES runs(id),
    evaluation INTEGER REFERENCES evaluations(id),
    state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'done', 'pruned', 'failed')),
    seconds REAL,
    error TEXT,
    PRIMARY KEY (experiment, position)
) STRICT, WITHOUT ROWID;
"""

CUT = """
ALTER TABLE usefulness ADD COLUMN input_cut INTEGER;
"""
