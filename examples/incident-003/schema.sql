CREATE SCHEMA migration;

CREATE TABLE migration.master_flows (
    flow_id uuid PRIMARY KEY,
    flow_name text,
    flow_status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE migration.discovery_flows (
    id bigserial PRIMARY KEY,
    flow_id uuid NOT NULL UNIQUE,
    master_flow_id uuid NOT NULL REFERENCES migration.master_flows (flow_id),
    flow_name text,
    status text NOT NULL,
    current_phase text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Three weeks ago; their discovery flows are missing.
INSERT INTO migration.master_flows (flow_id, flow_name, flow_status, created_at, updated_at)
SELECT md5('flow ' || n)::uuid, 'Discovery Flow ' || n, 'active', now() - interval '3 weeks' + n * interval '1 minute', now() - interval '19 days'
FROM generate_series(1, 100) n;
