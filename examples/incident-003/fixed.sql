-- created_at and updated_at are left to the database.
INSERT INTO migration.discovery_flows (flow_id, master_flow_id, flow_name, status, current_phase)
SELECT flow_id, flow_id, flow_name, flow_status, 'resuming'
FROM migration.master_flows WHERE flow_name = 'Discovery Flow 51';

INSERT INTO migration.discovery_flows (flow_id, master_flow_id, flow_name, status, current_phase)
SELECT flow_id, flow_id, flow_name, flow_status, 'resuming'
FROM migration.master_flows WHERE flow_name LIKE 'Discovery Flow 6%' AND flow_name <> 'Discovery Flow 6';

UPDATE migration.discovery_flows SET status = 'completed', updated_at = now() WHERE flow_name = 'Discovery Flow 51';

COPY migration.discovery_flows (flow_id, master_flow_id, status, current_phase) FROM STDIN;
52fa4f53-76e9-83b4-1d39-637111aba00d	52fa4f53-76e9-83b4-1d39-637111aba00d	active	resuming
bddf6b0e-d8b7-476d-37e7-c826a6c9a0c6	bddf6b0e-d8b7-476d-37e7-c826a6c9a0c6	active	resuming
acdb63f9-2f2a-1e70-53fa-c66fd3422761	acdb63f9-2f2a-1e70-53fa-c66fd3422761	active	resuming
\.
