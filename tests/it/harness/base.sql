-- The template of every test database.
CREATE TABLE jobs (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE ex (
    id bigint PRIMARY KEY,
    job_id bigint,
    status text,
    -- A default that two runs agree on.
    created_at timestamptz DEFAULT '2026-02-15 00:00:00+00',
    started_at timestamptz,
    completed_at timestamptz,
    note text
);
CREATE TABLE plain (id int PRIMARY KEY, t text, CONSTRAINT positive CHECK (id > 0));
INSERT INTO jobs SELECT g, '2026-01-01 00:00:00+00'::timestamptz + g * interval '1 minute' FROM generate_series(1, 20) g;
INSERT INTO ex SELECT g, g, 'queued', '2026-02-01 00:00:00+00', '2026-02-01 00:01:00+00', NULL, 'seed' FROM generate_series(1, 10) g;
INSERT INTO plain SELECT g, 'p' || g FROM generate_series(1, 10) g;
