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
