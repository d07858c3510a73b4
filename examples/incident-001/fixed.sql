-- A start is written once; a completion is never less than a millisecond after it.
INSERT INTO job_status (job_id) VALUES (11), (12);

UPDATE job_status SET status = 'active', attempts = 2, started_at = COALESCE(started_at, created_at + interval '20 ms')
WHERE job_id = 11 AND completed_at IS NULL;
UPDATE job_status SET status = 'completed', started_at = COALESCE(started_at, created_at + interval '1 ms'),
  completed_at = GREATEST(created_at + interval '5 ms', COALESCE(started_at, created_at + interval '1 ms') + interval '1 ms')
WHERE job_id = 11;

UPDATE job_status SET status = 'completed', started_at = COALESCE(started_at, created_at + interval '1 ms'),
  completed_at = GREATEST(created_at + interval '5 ms', COALESCE(started_at, created_at + interval '1 ms') + interval '1 ms')
WHERE job_id = 12;
UPDATE job_status SET status = 'active', attempts = 2, started_at = COALESCE(started_at, created_at + interval '20 ms')
WHERE job_id = 12 AND completed_at IS NULL;
