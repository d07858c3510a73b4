SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.json_build_object(
  'role', CURRENT_USER,
  'server_version', pg_catalog.current_setting('server_version_num')::integer,
  'notices', pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.<>) ALL ('{warning,error,fatal,panic}'::pg_catalog.text[]),
  'may_set_config', pg_catalog.has_function_privilege(2078::pg_catalog.oid, 'EXECUTE'),
  'relations', pg_catalog.json_agg(f.fact ORDER BY q.ord))::pg_catalog.text, 'UTF8'), 'hex')
FROM (
  SELECT a.ord, CASE
    WHEN a.name OPERATOR(pg_catalog.=) '' THEN NULL
    WHEN a.schema IS NULL THEN pg_catalog.to_regclass(pg_catalog.quote_ident(a.name))::pg_catalog.oid
    ELSE (
      SELECT c.oid FROM pg_catalog.pg_class c
      WHERE c.relname OPERATOR(pg_catalog.=) a.name::pg_catalog.name
        AND c.relnamespace OPERATOR(pg_catalog.=) CASE
          WHEN a.schema OPERATOR(pg_catalog.=) 'pg_temp' THEN pg_catalog.pg_my_temp_schema()
          ELSE (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) a.schema::pg_catalog.name) END)
    END AS oid
  FROM (
    SELECT e.ord, e.v OPERATOR(pg_catalog.->>) 0 AS schema, e.v OPERATOR(pg_catalog.->>) 1 AS name
    FROM pg_catalog.json_array_elements($1::pg_catalog.text::pg_catalog.json) WITH ORDINALITY e(v, ord)
    LIMIT pg_catalog.json_array_length($1::pg_catalog.text::pg_catalog.json)
  ) a
  OFFSET 0
) q
LEFT JOIN LATERAL (
  SELECT pg_catalog.json_build_object(
    'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'columns', COALESCE((
      SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', a.attname,
        'type_name', CASE WHEN t.typtype OPERATOR(pg_catalog.<>) 'd' AND t.typnamespace OPERATOR(pg_catalog.=) 11 THEN t.typname::pg_catalog.text ELSE (
          WITH RECURSIVE base(oid, inner_oid) AS (
            SELECT t.oid, t.typbasetype
            UNION ALL
            SELECT i.oid, i.typbasetype FROM base b JOIN pg_catalog.pg_type i ON i.oid OPERATOR(pg_catalog.=) b.inner_oid)
          SELECT CASE WHEN i.typnamespace OPERATOR(pg_catalog.=) 11 THEN i.typname::pg_catalog.text ELSE pg_catalog.concat(n.nspname, '.', i.typname) END
          FROM base b JOIN pg_catalog.pg_type i ON i.oid OPERATOR(pg_catalog.=) b.oid
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) i.typnamespace
          WHERE b.inner_oid OPERATOR(pg_catalog.=) 0) END,
        'is_enum', t.typtype OPERATOR(pg_catalog.=) 'e' OR t.typtype OPERATOR(pg_catalog.=) 'd' AND (
          WITH RECURSIVE base(oid, inner_oid) AS (
            SELECT t.oid, t.typbasetype
            UNION ALL
            SELECT i.oid, i.typbasetype FROM base b JOIN pg_catalog.pg_type i ON i.oid OPERATOR(pg_catalog.=) b.inner_oid)
          SELECT i.typtype OPERATOR(pg_catalog.=) 'e'
          FROM base b JOIN pg_catalog.pg_type i ON i.oid OPERATOR(pg_catalog.=) b.oid WHERE b.inner_oid OPERATOR(pg_catalog.=) 0),
        'has_default', a.atthasdef,
        'default', CASE WHEN a.atthasdef THEN (
          SELECT pg_catalog.pg_get_expr(e.adbin, e.adrelid) FROM pg_catalog.pg_attrdef e
          WHERE e.adrelid OPERATOR(pg_catalog.=) a.attrelid AND e.adnum OPERATOR(pg_catalog.=) a.attnum) END,
        'generated', a.attgenerated OPERATOR(pg_catalog.<>) '', 'virtual_generated', a.attgenerated OPERATOR(pg_catalog.=) 'v',
        'identity_always', a.attidentity OPERATOR(pg_catalog.=) 'a',
        'can_select', COALESCE(pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'), false),
        'can_update', COALESCE(pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE'), false)
      ) ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
      WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped), '[]'),
    'primary_key', COALESCE((
      SELECT pg_catalog.json_agg(a.attname ORDER BY k.ord)
      FROM pg_catalog.pg_index i
      CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(attnum, ord)
      JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
      WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary AND k.ord OPERATOR(pg_catalog.<=) i.indnkeyatts), '[]'),
    'entangled', COALESCE((
      WITH RECURSIVE beneath(oid, kind) AS (
        SELECT c.oid, c.relkind
        UNION
        SELECT bc.oid, bc.relkind
        FROM beneath b
        JOIN pg_catalog.pg_rewrite r ON r.ev_class OPERATOR(pg_catalog.=) b.oid
        JOIN pg_catalog.pg_depend p ON p.classid OPERATOR(pg_catalog.=) 2618 AND p.objid OPERATOR(pg_catalog.=) r.oid
          AND p.refclassid OPERATOR(pg_catalog.=) 1259
        JOIN pg_catalog.pg_class bc ON bc.oid OPERATOR(pg_catalog.=) p.refobjid
        WHERE b.kind OPERATOR(pg_catalog.=) 'v'
      ), down(oid) AS (
        SELECT b.oid FROM beneath b WHERE b.kind OPERATOR(pg_catalog.<>) 'v'
        UNION
        SELECT i.inhrelid FROM down d JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) d.oid)
      SELECT pg_catalog.json_agg(DISTINCT a.attname::pg_catalog.text)
      FROM down d
      CROSS JOIN LATERAL (
        SELECT pg_catalog.unnest(i.indkey::pg_catalog.int2[]) AS attnum FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) d.oid
        UNION
        SELECT pg_catalog.unnest(t.tgattr::pg_catalog.int2[]) FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) d.oid
        UNION
        SELECT pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid OPERATOR(pg_catalog.=) d.oid) u
      JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) d.oid AND a.attnum OPERATOR(pg_catalog.=) u.attnum), '[]'),
    'lineage', (
      WITH RECURSIVE up(oid, depth) AS (
        SELECT c.oid, 0
        UNION
        SELECT i.inhparent, u.depth OPERATOR(pg_catalog.+) 1 FROM up u JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) u.oid)
      SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', un.nspname, 'name', uc.relname) ORDER BY u.depth, uc.oid)
      FROM (SELECT s.oid, pg_catalog.min(s.depth) AS depth FROM up s GROUP BY s.oid) u
      JOIN pg_catalog.pg_class uc ON uc.oid OPERATOR(pg_catalog.=) u.oid
      JOIN pg_catalog.pg_namespace un ON un.oid OPERATOR(pg_catalog.=) uc.relnamespace),
    'tableoids', w.oids::pg_catalog.int8[],
    'partition_root', CASE WHEN c.relispartition OR c.relkind OPERATOR(pg_catalog.=) 'p'
      THEN pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid::pg_catalog.int8 END,
    'foreign_descendant', EXISTS (
      SELECT 1 FROM pg_catalog.pg_class d
      WHERE d.oid OPERATOR(pg_catalog.=) ANY (w.oids) AND d.oid OPERATOR(pg_catalog.<>) c.oid AND d.relkind OPERATOR(pg_catalog.=) 'f'),
    'view_bases', COALESCE((
      WITH RECURSIVE beneath(oid, kind) AS (
        SELECT c.oid, c.relkind WHERE c.relkind OPERATOR(pg_catalog.=) 'v'
        UNION
        SELECT bc.oid, bc.relkind
        FROM beneath b
        JOIN pg_catalog.pg_rewrite r ON r.ev_class OPERATOR(pg_catalog.=) b.oid
        JOIN pg_catalog.pg_depend p ON p.classid OPERATOR(pg_catalog.=) 2618 AND p.objid OPERATOR(pg_catalog.=) r.oid
          AND p.refclassid OPERATOR(pg_catalog.=) 1259
        JOIN pg_catalog.pg_class bc ON bc.oid OPERATOR(pg_catalog.=) p.refobjid
        WHERE b.kind OPERATOR(pg_catalog.=) 'v')
      SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', bn.nspname, 'name', bc.relname) ORDER BY bc.oid)
      FROM beneath b
      JOIN pg_catalog.pg_class bc ON bc.oid OPERATOR(pg_catalog.=) b.oid
      JOIN pg_catalog.pg_namespace bn ON bn.oid OPERATOR(pg_catalog.=) bc.relnamespace
      WHERE b.kind OPERATOR(pg_catalog.<>) 'v'), '[]'),
    'view', CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'v'
      AND (pg_catalog.pg_relation_is_updatable(c.oid, false) OPERATOR(pg_catalog.&) 12) OPERATOR(pg_catalog.=) 12 THEN (
        SELECT pg_catalog.json_build_object(
          'columns', COALESCE(pg_catalog.json_agg(va.attname), '[]'),
          'before_update_trigger', COALESCE(pg_catalog.bool_or(EXISTS (
            SELECT 1 FROM pg_catalog.pg_trigger t
            WHERE t.tgrelid OPERATOR(pg_catalog.=) b.oid AND NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'
              AND (t.tgtype::integer OPERATOR(pg_catalog.&) 19) OPERATOR(pg_catalog.=) 19)), false))
        FROM pg_catalog.pg_rewrite w
        CROSS JOIN LATERAL pg_catalog.regexp_matches(w.ev_action::pg_catalog.text,
          ':resno ([0-9]+) :resname [^ ]+ :ressortgroupref [0-9]+ :resorigtbl ([0-9]+) :resorigcol ([0-9]+) ', 'g') m
        JOIN pg_catalog.pg_attribute va ON va.attrelid OPERATOR(pg_catalog.=) c.oid AND va.attnum OPERATOR(pg_catalog.=) m[1]::smallint
        JOIN pg_catalog.pg_attribute ba ON ba.attrelid OPERATOR(pg_catalog.=) m[2]::pg_catalog.oid
          AND ba.attnum OPERATOR(pg_catalog.=) m[3]::smallint AND ba.attname OPERATOR(pg_catalog.=) va.attname
        JOIN pg_catalog.pg_class b ON b.oid OPERATOR(pg_catalog.=) ba.attrelid AND NOT b.relrowsecurity
          AND b.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
        WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid AND w.ev_type OPERATOR(pg_catalog.=) '1'
          AND pg_catalog.strpos(w.ev_action::pg_catalog.text, ':hasSubLinks true') OPERATOR(pg_catalog.=) 0) END,
    'before_insert_trigger', COALESCE(g.before_insert, false), 'before_update_trigger', COALESCE(g.before_update, false),
    'instead_of_trigger', COALESCE(g.instead_of, false),
    'instead_rule_insert', COALESCE(r.on_insert, false), 'instead_rule_update', COALESCE(r.on_update, false),
    'row_security', pg_catalog.row_security_active(c.oid),
    'stage', pg_catalog.json_build_object(
      'temporary', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY') AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_event_trigger v
        WHERE v.evtenabled OPERATOR(pg_catalog.<>) 'D' AND v.evtevent OPERATOR(pg_catalog.<>) 'login'),
      'prepared_transactions', pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.<>) '0',
      'insert_rule', COALESCE(r.any_insert, false),
      'domains', COALESCE((
        SELECT pg_catalog.json_agg(a.attname)
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
        WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          AND t.typtype OPERATOR(pg_catalog.=) 'd'), '[]')),
    'reads_system_columns', COALESCE(pg_catalog.has_column_privilege(c.oid, (-6)::smallint, 'SELECT'), false)) AS fact
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  CROSS JOIN LATERAL (
    WITH RECURSIVE down(oid) AS (
      SELECT c.oid
      UNION
      SELECT i.inhrelid FROM down d JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) d.oid)
    SELECT pg_catalog.array_agg(d.oid) AS oids FROM down d) w
  CROSS JOIN LATERAL (
    SELECT pg_catalog.bool_or((t.tgtype::integer OPERATOR(pg_catalog.&) 7) OPERATOR(pg_catalog.=) 7) AS before_insert,
      pg_catalog.bool_or((t.tgtype::integer OPERATOR(pg_catalog.&) 19) OPERATOR(pg_catalog.=) 19) AS before_update,
      pg_catalog.bool_or((t.tgtype::integer OPERATOR(pg_catalog.&) 64) OPERATOR(pg_catalog.=) 64) AS instead_of
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (w.oids) AND NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D') g
  CROSS JOIN LATERAL (
    SELECT pg_catalog.bool_or(x.is_instead AND x.ev_type OPERATOR(pg_catalog.=) '3') AS on_insert,
      pg_catalog.bool_or(x.is_instead AND x.ev_type OPERATOR(pg_catalog.=) '2') AS on_update,
      pg_catalog.bool_or(x.ev_type OPERATOR(pg_catalog.=) '3') AS any_insert
    FROM pg_catalog.pg_rewrite x
    WHERE x.ev_class OPERATOR(pg_catalog.=) c.oid AND x.ev_enabled OPERATOR(pg_catalog.<>) 'D') r
  WHERE c.oid OPERATOR(pg_catalog.=) q.oid AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::"char"[])
) f ON true
