-- Two jobs, the two orders of the race, as one session sees them.
INSERT INTO job_status (job_id) VALUES (1), (2);

-- Order one: the retry overwrites the start, then the completion arrives with its older time.
UPDATE job_status SET started_at = created_at + interval '1 ms' WHERE job_id = 1;
UPDATE job_status SET status = 'active', attempts = 2, started_at = created_at + interval '20 ms' WHERE job_id = 1;
UPDATE job_status SET status = 'completed', completed_at = created_at + interval '5 ms' WHERE job_id = 1;

-- Order two: the job is completed, then the retry overwrites the start.
UPDATE job_status SET started_at = created_at + interval '1 ms' WHERE job_id = 2;
UPDATE job_status SET status = 'completed', completed_at = created_at + interval '5 ms' WHERE job_id = 2;
WITH pgrst_source AS (
  UPDATE "public"."job_status" SET "status" = "pgrst_body"."status", "started_at" = "pgrst_body"."started_at"
  FROM (SELECT json_build_object('status', 'active', 'started_at', now() + interval '20 ms') AS json_data) pgrst_payload,
    LATERAL (SELECT "status", "started_at" FROM json_to_record(pgrst_payload.json_data) AS _("status" text, "started_at" timestamptz)) pgrst_body
  WHERE "public"."job_status"."job_id" = 2
  RETURNING "public"."job_status".*
)
SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, array[]::text[] AS header, coalesce(json_agg(_postgrest_t), '[]') AS body
FROM (SELECT * FROM pgrst_source) _postgrest_t;
