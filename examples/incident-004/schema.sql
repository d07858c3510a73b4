CREATE TABLE ops (
    op_id text PRIMARY KEY,
    session_id text,
    kind text NOT NULL DEFAULT 'llm',
    name text,
    start_ts bigint,
    end_ts bigint,
    duration_us bigint
);
