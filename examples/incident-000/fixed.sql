-- created_at is named, and is the start.
PREPARE insert_execution AS
INSERT INTO executions (job_id, provider_id, region, status, started_at, completed_at, output_data, receipt_data, model_id, question_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id;

EXECUTE insert_execution('bias-detection-1760288315095', 'modal-us-east', 'US', 'failed',
    localtimestamp - interval '60 ms', localtimestamp - interval '50 ms', '{}', '{}', 'llama3.2-1b', NULL, localtimestamp - interval '60 ms');

EXECUTE insert_execution('bias-detection-1760288315095', 'modal-eu-west', 'EU', 'completed',
    localtimestamp - interval '800 ms', localtimestamp - interval '4 ms', '{"answer": "yes"}', '{}', 'llama3.2-1b', 'q1', localtimestamp - interval '800 ms');

-- Failed at once: all three times are equal.
INSERT INTO executions (job_id, provider_id, region, status, started_at, completed_at, created_at)
VALUES ('bias-detection-1760288315095', 'modal-us-east', 'US', 'failed', localtimestamp, localtimestamp, localtimestamp);

DEALLOCATE insert_execution;
