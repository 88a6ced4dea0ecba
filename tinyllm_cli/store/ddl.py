"""The tables, in SQL. Names and comments are for people who open the file in Datasette; times are UTC in ISO 8601.

A comment lies inside its statement: SQLite keeps it in the schema only there.
"""

TABLES = """
CREATE TABLE datasets (
    name TEXT PRIMARY KEY NOT NULL,
    source TEXT NOT NULL, -- the file, folder or hub repository
    fingerprint TEXT NOT NULL, -- changes when the content of the source may have changed
    imported TEXT NOT NULL
) STRICT;

CREATE TABLE questions (
    hash TEXT PRIMARY KEY NOT NULL, -- of the content
    text TEXT NOT NULL,
    options TEXT NOT NULL, -- JSON array of texts
    answer INTEGER NOT NULL, -- index into options
    context TEXT
) STRICT;

CREATE TABLE dataset_questions (
    -- The questions of each split in their order. Two positions may hold the same question.
    dataset TEXT NOT NULL REFERENCES datasets(name),
    split TEXT NOT NULL, -- train, valid or test
    position INTEGER NOT NULL,
    key TEXT NOT NULL, -- the data set's own ID
    question TEXT NOT NULL REFERENCES questions(hash),
    PRIMARY KEY (dataset, split, position),
    UNIQUE (dataset, split, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE recipes (
    -- How prompts are made.
    name TEXT PRIMARY KEY NOT NULL, -- derived from the columns below
    template TEXT NOT NULL, -- version of the prompt's wording, or 'recorded': the prompt is unknown
    icl INTEGER, -- in-context examples; NULL: unknown
    seed INTEGER, -- draws the in-context examples; NULL: there are none
    teacher_forcing INTEGER NOT NULL -- 1: the prompt contains the gold answer
) STRICT;

CREATE TABLE prompts (
    hash TEXT PRIMARY KEY NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    recipe TEXT NOT NULL REFERENCES recipes(name),
    examples TEXT NOT NULL, -- JSON array: hashes of the questions that are in-context examples
    messages TEXT NOT NULL -- JSON array of [role, content]
) STRICT;

CREATE TABLE samplings (
    -- A teacher's model and how it samples.
    hash TEXT PRIMARY KEY NOT NULL,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    temperature REAL, -- NULL: not set, so the endpoint's default applied
    top_p REAL, -- the same
    max_tokens INTEGER NOT NULL,
    stop TEXT NOT NULL, -- JSON array of texts
    seed INTEGER NOT NULL,
    engine TEXT NOT NULL DEFAULT '{}' -- JSON: library versions, dtype, device
) STRICT;

CREATE TABLE rationales (
    -- Replies of teachers.
    id INTEGER PRIMARY KEY,
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL, -- from 0
    text TEXT NOT NULL, -- as the teacher wrote it
    reasoning TEXT, -- of a reasoning model, where the endpoint returns it separately
    finish_reason TEXT NOT NULL,
    answer INTEGER, -- option index, where a recording states one beside the text
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL,
    cost REAL, -- NULL: unknown
    attempts INTEGER NOT NULL DEFAULT 1, -- calls to the endpoint
    last_error TEXT, -- of the last call that failed
    raised_max_tokens INTEGER, -- token limit of a retry after a truncated reply; NULL: that of the sampling
    created TEXT NOT NULL,
    UNIQUE (question, teacher, prompt, sampling, sample)
) STRICT;

CREATE TABLE failures (
    -- Requests without a usable reply. The next elicitation repeats them; a reply removes the row.
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL, -- calls to the endpoint
    at TEXT NOT NULL, -- time of the last attempt
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL, -- NULL: unknown
    PRIMARY KEY (question, teacher, prompt, sampling, sample)
) STRICT, WITHOUT ROWID;

CREATE TABLE elicitations (
    -- One process that requests replies for one split. Counts include failures and retries.
    id INTEGER PRIMARY KEY,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    dataset TEXT NOT NULL,
    split TEXT NOT NULL,
    recipe TEXT NOT NULL REFERENCES recipes(name),
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed', 'killed')),
    replies INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL, -- NULL: unknown
    concurrency TEXT NOT NULL DEFAULT '[]', -- JSON array of [seconds since the start, endpoint, new limit, reason]
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;

CREATE TABLE batches (
    -- Requests submitted to an endpoint's batch API.
    number INTEGER PRIMARY KEY,
    id TEXT, -- the endpoint's ID; NULL until it is known
    token TEXT NOT NULL UNIQUE, -- our ID, in the batch's metadata
    elicitation INTEGER NOT NULL REFERENCES elicitations(id),
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    url TEXT NOT NULL,
    state TEXT NOT NULL, -- uploading, submitting, then the endpoint's state
    requests INTEGER NOT NULL DEFAULT 0,
    submitted TEXT NOT NULL,
    finished TEXT, -- NULL: open
    error TEXT
) STRICT;

CREATE TABLE claims (
    -- Requests in progress, so that two processes never pay for the same reply.
    prompt TEXT NOT NULL,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL,
    sample INTEGER NOT NULL,
    elicitation INTEGER NOT NULL REFERENCES elicitations(id) ON DELETE CASCADE,
    batch INTEGER REFERENCES batches(number), -- NULL: requested one by one
    PRIMARY KEY (prompt, teacher, sampling, sample)
) STRICT, WITHOUT ROWID;

CREATE TABLE gates (
    hash TEXT PRIMARY KEY NOT NULL,
    settings TEXT NOT NULL, -- JSON
    created TEXT NOT NULL -- last used
) STRICT;

CREATE TABLE verdicts (
    -- Results of the gates.
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    gates TEXT NOT NULL REFERENCES gates(hash),
    verdict TEXT NOT NULL CHECK (verdict IN ('kept', 'repaired', 'rejected')),
    text TEXT, -- of a repaired rationale: what is left of it
    findings TEXT NOT NULL, -- JSON array of [gate, reason, repaired]
    PRIMARY KEY (rationale, gates)
) STRICT, WITHOUT ROWID;

CREATE TABLE usefulness (
    -- How much a rationale raises the log-probability of the gold option for a model.
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    text_hash TEXT NOT NULL, -- of the text that was scored: after the gates, with or without the answer masked
    model TEXT NOT NULL,
    model_fingerprint TEXT NOT NULL, -- of a local model's files; '': a model of the hub
    gain REAL NOT NULL, -- nats: with the rationale, minus without
    input_truncated INTEGER, -- 1: the model did not read all of question and text; NULL: unknown
    created TEXT NOT NULL,
    PRIMARY KEY (rationale, text_hash, model, model_fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    -- Trainings of students.
    id INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    student TEXT NOT NULL,
    dataset TEXT NOT NULL REFERENCES datasets(name),
    alpha TEXT NOT NULL, -- JSON: teacher -> weight
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL, -- JSON
    sources TEXT NOT NULL, -- JSON: teacher -> which of its rationales were used, and how many were not
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
    metrics TEXT NOT NULL, -- JSON: losses, valid accuracies, speed, memory, truncation
    folder TEXT NOT NULL, -- of the student; relative to the folder of this database
    command TEXT NOT NULL,
    versions TEXT NOT NULL, -- JSON
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;

CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('run', 'model', 'teacher')),
    subject TEXT NOT NULL, -- name of the run, model or teacher
    run INTEGER REFERENCES runs(id),
    step INTEGER, -- of the run's checkpoint
    model TEXT, -- of a model that was not trained here
    model_fingerprint TEXT, -- of a local model's files
    revision TEXT, -- of a model of the hub
    max_input INTEGER, -- tokens
    sampling TEXT REFERENCES samplings(hash), -- with recipe: of a teacher's stored replies
    recipe TEXT REFERENCES recipes(name),
    extra_context TEXT, -- hash of the rationales that the student reads beside the questions (PINTO)
    explain_as TEXT, -- teacher in whose style the student explains
    votes INTEGER, -- sampled rationales for each question
    dataset TEXT NOT NULL REFERENCES datasets(name),
    split TEXT NOT NULL,
    scoring TEXT NOT NULL CHECK (scoring IN ('rank', 'generate', 'explain')),
    questions INTEGER NOT NULL,
    chance REAL NOT NULL, -- expected accuracy of guessing
    majority REAL NOT NULL, -- accuracy of always choosing the most frequent position
    correct INTEGER, -- NULL: not complete
    unparseable INTEGER,
    truncated_inputs INTEGER,
    written_tokens INTEGER, -- of the texts that explain the answers
    seconds REAL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE predictions (
    evaluation INTEGER NOT NULL REFERENCES evaluations(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    option INTEGER, -- NULL: unparseable
    correct INTEGER NOT NULL,
    scores TEXT, -- JSON array: mean log-likelihood (nats per token) of each option
    text TEXT,
    input_truncated INTEGER NOT NULL, -- 1: the input was longer than the limit
    written_tokens INTEGER, -- of the texts that explain the answer
    PRIMARY KEY (evaluation, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL, -- table1, ablation, train-size, alpha, seeds, or a search
    plan TEXT NOT NULL UNIQUE, -- JSON
    command TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE cells (
    -- The cells of an experiment: one training and one evaluation each.
    experiment INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    identity TEXT, -- equal for the same training and evaluation in any experiment
    label TEXT NOT NULL, -- JSON, such as {"method": "tinyllm", "seed": 0}
    run INTEGER REFERENCES runs(id), -- NULL: not trained yet, or nothing to train
    evaluation INTEGER REFERENCES evaluations(id),
    -- pruned: a search stopped the training early
    state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'done', 'pruned', 'failed')),
    seconds REAL,
    error TEXT,
    PRIMARY KEY (experiment, position)
) STRICT, WITHOUT ROWID;
"""

INDEXES = """
CREATE INDEX dataset_questions_by_question ON dataset_questions(question);
CREATE INDEX dataset_questions_by_hash ON dataset_questions(dataset, split, question); -- to draw in-context examples
CREATE INDEX claims_by_elicitation ON claims(elicitation);
CREATE INDEX claims_by_batch ON claims(batch) WHERE batch IS NOT NULL;
CREATE INDEX batches_open ON batches(teacher) WHERE finished IS NULL;
CREATE INDEX batches_by_elicitation ON batches(elicitation);
CREATE INDEX cells_by_identity ON cells(identity) WHERE state = 'done';
CREATE UNIQUE INDEX evaluations_by_subject ON evaluations(
    kind, subject, dataset, split, scoring, questions, coalesce(step, -1), coalesce(model, ''),
    coalesce(model_fingerprint, ''), coalesce(revision, ''), coalesce(max_input, -1), coalesce(sampling, ''),
    coalesce(recipe, ''), coalesce(extra_context, ''), coalesce(explain_as, ''), coalesce(votes, 0)
);
"""
