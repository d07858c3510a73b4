-- Duration from the persisted start, end and duration through one gate.
INSERT INTO ops (op_id, session_id, name, start_ts) VALUES ('op-11', 's-1', 'completion', 1780200000000000), ('op-12', 's-1', 'tool', 1780200003000000);

UPDATE ops SET end_ts = 1780200002500000, duration_us = 1780200002500000 - start_ts WHERE op_id = 'op-11';
-- The second finalize has no end: the good one stays.
UPDATE ops SET end_ts = CASE WHEN 0 >= start_ts THEN 0 ELSE end_ts END, duration_us = CASE WHEN 0 >= start_ts THEN 0 - start_ts ELSE duration_us END WHERE op_id = 'op-11';
-- Over in no time: 0 is right.
UPDATE ops SET end_ts = 1780200003000000, duration_us = 1780200003000000 - start_ts WHERE op_id = 'op-12';
-- An orphan.
INSERT INTO ops (op_id, end_ts) VALUES ('op-13', 1780200009000000)
ON CONFLICT (op_id) DO UPDATE SET end_ts = excluded.end_ts, duration_us = excluded.end_ts - ops.start_ts;
