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
  SELECT pg_catalog.json_build_object('oid', c.oid::pg_catalog.int8, 'row_security', pg_catalog.row_security_active(c.oid),
    'stamp', pg_catalog.concat_ws('.', c.xmin,
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.xmin::pg_catalog.text::bigint))
       FROM pg_catalog.pg_attribute x WHERE x.attrelid OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.xmin::pg_catalog.text::bigint))
       FROM pg_catalog.pg_attrdef x WHERE x.adrelid OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.xmin::pg_catalog.text::bigint))
       FROM pg_catalog.pg_trigger x WHERE x.tgrelid OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.xmin::pg_catalog.text::bigint))
       FROM pg_catalog.pg_rewrite x WHERE x.ev_class OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.xmin::pg_catalog.text::bigint))
       FROM pg_catalog.pg_index x WHERE x.indrelid OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.inhrelid::bigint))
       FROM pg_catalog.pg_inherits x WHERE x.inhparent OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.concat_ws('+', pg_catalog.count(*), pg_catalog.sum(x.inhparent::bigint))
       FROM pg_catalog.pg_inherits x WHERE x.inhrelid OPERATOR(pg_catalog.=) c.oid))) AS fact
  FROM pg_catalog.pg_class c
  WHERE c.oid OPERATOR(pg_catalog.=) q.oid AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::"char"[])
) f ON true
