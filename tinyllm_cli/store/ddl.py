"""The tables, in SQL. Columns are named for people who open the file in Datasette; times are UTC ISO 8601."""

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
    options TEXT NOT NULL, -- JSON array of texts
    answer INTEGER NOT NULL, -- index into options
    context TEXT
) STRICT;

-- A question's place in a data set. Two places may hold the same content.
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
-- Walked to draw in-context examples.
CREATE INDEX dataset_questions_by_hash ON dataset_questions(dataset, split, question);

CREATE TABLE prompts (
    hash TEXT PRIMARY KEY,
    question TEXT NOT NULL REFERENCES questions(hash),
    recipe TEXT NOT NULL, -- how the prompt was made
    teacher_forcing INTEGER NOT NULL,
    examples TEXT NOT NULL, -- JSON array of the in-context examples' question hashes
    messages TEXT NOT NULL -- JSON array of [role, content]
) STRICT, WITHOUT ROWID;

CREATE TABLE samplings (
    hash TEXT PRIMARY KEY,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    temperature REAL NOT NULL,
    top_p REAL NOT NULL,
    max_tokens INTEGER NOT NULL,
    stop TEXT NOT NULL, -- JSON array
    seed INTEGER NOT NULL,
    engine TEXT NOT NULL DEFAULT '{}' -- JSON: library versions, dtype, device
) STRICT;

CREATE TABLE rationales (
    id INTEGER PRIMARY KEY,
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL,
    text TEXT NOT NULL, -- raw, as the teacher wrote it
    finish_reason TEXT NOT NULL,
    answer INTEGER, -- an option index that the source states beside the text
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL,
    cost REAL, -- NULL when unknown, never 0 for unknown
    created TEXT NOT NULL,
    UNIQUE (question, teacher, prompt, sampling, sample)
) STRICT;

-- What could not be answered; the next run asks again, and success removes the row.
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
    alpha TEXT NOT NULL, -- JSON: teacher -> weight
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL, -- JSON
    lineage TEXT NOT NULL, -- JSON: which rationales
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
    figures TEXT NOT NULL, -- JSON: losses, speeds, truncations
    folder TEXT NOT NULL,
    command TEXT NOT NULL,
    versions TEXT NOT NULL, -- JSON
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
    correct INTEGER, -- NULL until complete
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
    option INTEGER, -- NULL: the text names no option
    correct INTEGER NOT NULL,
    scores TEXT, -- JSON array: nats per token by option
    text TEXT,
    input_cut INTEGER NOT NULL, -- the input was longer than the limit
    PRIMARY KEY (evaluation, key)
) STRICT, WITHOUT ROWID;
"""

HOSTED = """
ALTER TABLE rationales ADD COLUMN reasoning TEXT; -- what a reasoning model thought first, where it is told apart
ALTER TABLE rationales ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1; -- calls that it took
ALTER TABLE rationales ADD COLUMN last_error TEXT; -- why the call before the last came to nothing
ALTER TABLE rationales ADD COLUMN cap INTEGER; -- limit of new tokens, where it was raised over the sampling's
ALTER TABLE failures ADD COLUMN prompt_tokens INTEGER;
ALTER TABLE failures ADD COLUMN completion_tokens INTEGER;
ALTER TABLE failures ADD COLUMN cost REAL; -- NULL when unknown

-- One time that a teacher was asked about one split: what it took in all, failures and repeated calls included.
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
    cost REAL, -- NULL when unknown
    pace TEXT NOT NULL DEFAULT '[]', -- JSON: [seconds, endpoint, requests in flight from then on, why]
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;

-- Who is asking what just now, so that two processes never pay for the same reply. A row lasts until its reply is
-- stored; what a killed process leaves behind is taken over.
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
-- Requests that lie at an endpoint as one batch. It is open until its answers are stored, or it came to nothing.
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    id TEXT, -- the endpoint's name for it, NULL until that is known
    token TEXT NOT NULL UNIQUE, -- ours, in the batch's metadata, to find it by
    elicitation INTEGER NOT NULL REFERENCES elicitations(id),
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    url TEXT NOT NULL,
    state TEXT NOT NULL, -- uploading, submitting, then the endpoint's own word
    requests INTEGER NOT NULL DEFAULT 0,
    submitted TEXT NOT NULL,
    finished TEXT, -- NULL while it is open
    error TEXT
) STRICT;
CREATE INDEX batches_open ON batches(teacher) WHERE finished IS NULL;
CREATE INDEX batches_by_elicitation ON batches(elicitation);

-- A claim of an open batch outlives the process that made it.
ALTER TABLE claims ADD COLUMN batch INTEGER REFERENCES batches(number);
CREATE INDEX claims_by_batch ON claims(batch) WHERE batch IS NOT NULL;
"""

PROMPTS = """
-- Prompts are long: clustered by their hash, each one would rewrite a page of others.
CREATE TABLE prompts_in_order (
    hash TEXT PRIMARY KEY NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    recipe TEXT NOT NULL, -- how the prompt was made
    teacher_forcing INTEGER NOT NULL,
    examples TEXT NOT NULL, -- JSON array of the in-context examples' question hashes
    messages TEXT NOT NULL -- JSON array of [role, content]
) STRICT;
INSERT INTO prompts_in_order SELECT hash, question, recipe, teacher_forcing, examples, messages FROM prompts;
DROP TABLE prompts;
ALTER TABLE prompts_in_order RENAME TO prompts;
"""

VERDICTS = """
-- What the gates made of a rationale. `gates` names the settings they ran with, so that other settings make other rows.
CREATE TABLE verdicts (
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    gates TEXT NOT NULL REFERENCES gates(hash),
    verdict TEXT NOT NULL CHECK (verdict IN ('kept', 'repaired', 'rejected')),
    text TEXT, -- what is left to teach from, where it was repaired
    findings TEXT NOT NULL, -- JSON array of [gate, reason, repaired]
    PRIMARY KEY (rationale, gates)
) STRICT, WITHOUT ROWID;
CREATE TABLE gates (
    hash TEXT PRIMARY KEY NOT NULL,
    settings TEXT NOT NULL, -- JSON
    created TEXT NOT NULL
) STRICT;

-- How much a rationale raises the log-probability of the gold option for a model.
CREATE TABLE usefulness (
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    text TEXT NOT NULL, -- hash of the text that was scored: raw or as the gates left it, with the answer masked or not
    model TEXT NOT NULL, -- its name and fingerprint
    gain REAL NOT NULL, -- log-probability (nats) of the gold option: with the rationale, minus without
    created TEXT NOT NULL,
    PRIMARY KEY (rationale, text, model)
) STRICT, WITHOUT ROWID;

-- A plan of runs, and its cells: one training and one evaluation each.
CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL, -- table1, ablation, train-size, alpha, seeds
    plan TEXT NOT NULL UNIQUE, -- JSON: what makes two plans the same one
    command TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE cells (
    experiment INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    label TEXT NOT NULL, -- JSON: what tells this cell from the others, such as {"method": "tinyllm", "seed": 0}
    run INTEGER REFERENCES runs(id), -- NULL until it is trained; inference has none
    evaluation INTEGER REFERENCES evaluations(id),
    state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'done', 'pruned', 'failed')),
    seconds REAL,
    error TEXT,
    PRIMARY KEY (experiment, position)
) STRICT, WITHOUT ROWID;
"""

CUT = """
ALTER TABLE usefulness ADD COLUMN input_cut INTEGER; -- the model read less than question and text; NULL: unknown
"""
