-- The work was done a moment ago; created_at is left to DEFAULT now(), which is later than both times.
PREPARE insert_execution AS
INSERT INTO executions (job_id, provider_id, region, status, started_at, completed_at, output_data, receipt_data, model_id, question_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING id;

EXECUTE insert_execution('bias-detection-1760288315095', 'modal-us-east', 'US', 'failed',
    clock_timestamp() - interval '60 ms', clock_timestamp() - interval '50 ms', '{}', '{}', 'llama3.2-1b', NULL);

EXECUTE insert_execution('bias-detection-1760288315095', 'modal-eu-west', 'EU', 'completed',
    clock_timestamp() - interval '800 ms', clock_timestamp() - interval '4 ms', '{"answer": "yes"}', '{}', 'llama3.2-1b', 'q1');

INSERT INTO executions (job_id, provider_id, region, status, started_at, completed_at)
VALUES ('bias-detection-1760288315095', 'modal-us-east', 'US', 'failed',
    clock_timestamp() - interval '48 ms', clock_timestamp() - interval '38 ms');

DEALLOCATE insert_execution;
