-- Oban 2.23.0: the job table after migration 14. Source: lib/oban/migrations/postgres/*.ex (`utc_datetime_usec` is timestamp(6)).
CREATE TYPE oban_job_state AS ENUM ('available', 'suspended', 'scheduled', 'executing', 'retryable', 'completed', 'discarded', 'cancelled');

CREATE TABLE oban_jobs (
    id bigserial PRIMARY KEY,
    state oban_job_state NOT NULL DEFAULT 'available',
    queue text NOT NULL DEFAULT 'default' CHECK (char_length(queue) BETWEEN 1 AND 127),
    worker text NOT NULL CHECK (char_length(worker) BETWEEN 1 AND 127),
    args jsonb NOT NULL DEFAULT '{}',
    errors jsonb[] NOT NULL DEFAULT '{}',
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 20 CHECK (max_attempts > 0),
    inserted_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()),
    scheduled_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()),
    attempted_at timestamp(6),
    completed_at timestamp(6),
    attempted_by text[],
    discarded_at timestamp(6),
    priority integer NOT NULL DEFAULT 0 CHECK (priority >= 0),
    tags text[] DEFAULT '{}',
    meta jsonb DEFAULT '{}',
    cancelled_at timestamp(6),
    CHECK (attempt BETWEEN 0 AND max_attempts)
);
