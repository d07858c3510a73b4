CREATE TABLE jobs (
    id text PRIMARY KEY,
    status text NOT NULL DEFAULT 'queued',
    created_at timestamp DEFAULT now()
);

CREATE TABLE executions (
    id bigserial PRIMARY KEY,
    job_id text NOT NULL REFERENCES jobs (id),
    provider_id text,
    region text,
    status text,
    started_at timestamp,
    completed_at timestamp,
    output_data jsonb,
    receipt_data jsonb,
    model_id text,
    question_id text,
    created_at timestamp DEFAULT now()
);

INSERT INTO jobs (id) VALUES ('bias-detection-1760288315095');
