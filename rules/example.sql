-- The tables that example.yaml is about.
CREATE SCHEMA example;

CREATE TABLE example.jobs (
    id bigint PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE example.executions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES example.jobs (id),
    status text NOT NULL DEFAULT 'queued',
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    duration_us bigint
);

INSERT INTO example.jobs (id, created_at) VALUES (1, now() - interval '1 minute');
