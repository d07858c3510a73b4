-- op 1: started, then finalized; the event's own time is the end, so the duration is 0.
INSERT INTO ops (op_id, session_id, name, start_ts) VALUES ('op-1', 's-1', 'completion', 1780200000000000);
UPDATE ops SET end_ts = 1780200002500000, duration_us = 1780200002500000 - 1780200002500000 WHERE op_id = 'op-1';

-- op 2: ended well, then a second finalize that has no end.
INSERT INTO ops (op_id, session_id, name, start_ts, end_ts, duration_us) VALUES ('op-2', 's-1', 'tool', 1780200003000000, 1780200003000900, 900);
UPDATE ops SET end_ts = 0 WHERE op_id = 'op-2';
-- And a third one from a slow clock, which looks healthy by itself.
UPDATE ops SET end_ts = 1780200003000400, duration_us = 400 WHERE op_id = 'op-2';

-- op 3: an upsert from a machine whose clock is a minute behind.
INSERT INTO ops (op_id, session_id, name, start_ts) VALUES ('op-3', 's-1', 'tool', 1780200004000000);
INSERT INTO ops (op_id, end_ts, duration_us) VALUES ('op-3', 1780199944000000, 0)
ON CONFLICT (op_id) DO UPDATE SET end_ts = excluded.end_ts, duration_us = excluded.duration_us;
