-- The recovery copies the master flow's timestamps.
INSERT INTO migration.discovery_flows (flow_id, master_flow_id, flow_name, status, current_phase, created_at, updated_at)
SELECT flow_id, flow_id, flow_name, flow_status, 'resuming', created_at, updated_at
FROM migration.master_flows WHERE flow_name = 'Discovery Flow 1';

INSERT INTO migration.discovery_flows (flow_id, master_flow_id, flow_name, status, current_phase, created_at, updated_at)
SELECT flow_id, flow_id, flow_name, flow_status, 'resuming', created_at, updated_at
FROM migration.master_flows WHERE flow_name LIKE 'Discovery Flow 2%';

INSERT INTO migration.discovery_flows (flow_id, master_flow_id, status, current_phase, created_at)
VALUES (md5('flow 3')::uuid, md5('flow 3')::uuid, 'active', 'resuming',
    (SELECT created_at FROM migration.master_flows WHERE flow_name = 'Discovery Flow 3'));

COPY migration.discovery_flows (flow_id, master_flow_id, status, current_phase, created_at, updated_at) FROM STDIN;
c4a05ea9-6536-0569-344e-4ea85b109cef	c4a05ea9-6536-0569-344e-4ea85b109cef	active	resuming	2026-10-01 10:00:00+00	2026-10-03 10:00:00+00
0c761dbc-b208-d65b-036a-fabe8a968544	0c761dbc-b208-d65b-036a-fabe8a968544	active	resuming	2026-10-01 10:00:00+00	2026-10-03 10:00:00+00
a977b256-ec07-24c1-917c-ef81a0970ee2	a977b256-ec07-24c1-917c-ef81a0970ee2	active	resuming	2026-10-01 10:00:00+00	2026-10-03 10:00:00+00
\.
