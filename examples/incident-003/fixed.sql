-- created_at and updated_at are left to the database.
INSERT INTO migration.discovery_flows (flow_id, master_flow_id, flow_name, status, current_phase)
SELECT flow_id, flow_id, flow_name, flow_status, 'resuming'
FROM migration.master_flows WHERE flow_name = 'Discovery Flow 51';

INSERT INTO migration.discovery_flows (flow_id, master_flow_id, flow_name, status, current_phase)
SELECT flow_id, flow_id, flow_name, flow_status, 'resuming'
FROM migration.master_flows WHERE flow_name LIKE 'Discovery Flow 6%' AND flow_name <> 'Discovery Flow 6';

UPDATE migration.discovery_flows SET status = 'completed', updated_at = now() WHERE flow_name = 'Discovery Flow 51';
