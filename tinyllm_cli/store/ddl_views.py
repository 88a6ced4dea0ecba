"""The views, in SQL: joined and named for people who open the file in Datasette or ask it with plain SQL.

A comment lies inside its statement: SQLite keeps it in the schema only there.
"""

VIEWS = """
CREATE VIEW rationales_readable AS
    -- Each rationale with its question, at each place of that, and with the verdict that counts.
SELECT
    r.id AS id, -- for tinyllm gate --keep, --reject and --edit
    dq.dataset AS dataset,
    dq.split AS split,
    dq.key AS key, -- the data set's own ID
    q.text AS question,
    (SELECT group_concat(value, ' | ') FROM json_each(q.options)) AS options,
    json_extract(q.options, '$[' || q.answer || ']') AS gold, -- the right option
    r.teacher AS teacher,
    s.model AS model,
    p.recipe AS recipe,
    r.sample AS sample,
    r.text AS text, -- as the teacher wrote it
    coalesce(h.verdict, v.verdict) AS verdict, -- of a person, else of the gates that were used last; NULL: not judged
    h.reviewer AS reviewer, -- the person; NULL: the gates
    coalesce(h.reason, (SELECT group_concat(json_extract(value, '$[0]') || ': ' || json_extract(value, '$[1]'), '; ')
        FROM json_each(v.findings) WHERE h.id IS NULL)) AS reason,
    CASE WHEN h.id IS NOT NULL THEN h.text WHEN v.verdict <> 'rejected' THEN coalesce(v.text, r.text) END
        AS learned, -- what a student learns; NULL: nothing, or not judged
    r.finish_reason AS finish_reason,
    r.prompt_tokens AS prompt_tokens,
    r.completion_tokens AS completion_tokens,
    r.cost AS cost, -- NULL: unknown
    (SELECT code FROM currency) AS currency, -- of the cost
    r.created AS created
FROM rationales r
JOIN prompts p ON p.hash = r.prompt
JOIN samplings s ON s.hash = r.sampling
JOIN questions q ON q.hash = r.question
JOIN dataset_questions dq ON dq.question = r.question
LEFT JOIN human_verdicts h ON h.id = (
    SELECT one.id FROM human_verdicts one WHERE one.rationale = r.id ORDER BY one.at DESC, one.id DESC LIMIT 1
)
LEFT JOIN verdicts v ON v.rationale = r.id AND v.gates = (
    SELECT one.gates FROM verdicts one JOIN gates g ON g.hash = one.gates WHERE one.rationale = r.id
    ORDER BY g.created DESC, g.rowid DESC LIMIT 1
);

CREATE VIEW results AS
    -- Complete evaluations with the runs that they measure. Shares are in percent.
SELECT
    e.id AS evaluation,
    e.kind AS kind, -- run, model or teacher
    e.subject AS who,
    e.run AS run,
    u.method AS method,
    coalesce(u.student, e.model) AS student,
    u.alpha AS alpha, -- JSON: teacher -> weight
    u.seed AS seed,
    e.dataset AS dataset,
    e.split AS split,
    e.scoring AS scoring,
    e.questions AS questions,
    e.correct AS correct,
    round(100.0 * e.correct / e.questions, 2) AS accuracy,
    round(100.0 * e.chance, 2) AS chance, -- expected accuracy of guessing
    round(100.0 * e.majority, 2) AS majority, -- accuracy of always choosing the most frequent position
    e.unparseable AS unparseable, -- answers that match no option
    e.created AS created
FROM evaluations e LEFT JOIN runs u ON u.id = e.run
WHERE e.correct IS NOT NULL;

CREATE VIEW costs AS
    -- What elicitation cost, by teacher and split. Includes failures and retries.
SELECT
    e.teacher AS teacher,
    s.model AS model,
    s.backend AS backend,
    e.dataset AS dataset,
    e.split AS split,
    e.recipe AS recipe,
    sum(e.replies) AS replies,
    sum(e.failures) AS failures,
    sum(e.calls) AS calls, -- to the endpoint
    sum(e.prompt_tokens) AS prompt_tokens,
    sum(e.completion_tokens) AS completion_tokens,
    sum(e.cost) AS cost, -- NULL: unknown
    (SELECT code FROM currency) AS currency, -- of the cost
    sum(e.cost IS NULL AND e.calls > 0) AS unpriced, -- elicitations of unknown cost: above 0, cost is a lower bound
    min(e.started) AS first,
    max(e.finished) AS last
FROM elicitations e JOIN samplings s ON s.hash = e.sampling
GROUP BY e.teacher, e.sampling, e.dataset, e.split, e.recipe;
"""
