WITH RECURSIVE guarded(oid) AS MATERIALIZED (
  SELECT c.oid
  FROM (
    SELECT (e.v OPERATOR(pg_catalog.->>) 0)::pg_catalog.name AS schema, (e.v OPERATOR(pg_catalog.->>) 1)::pg_catalog.name AS name
    FROM pg_catalog.json_array_elements($1::pg_catalog.text::pg_catalog.json) e(v)
    LIMIT pg_catalog.json_array_length($1::pg_catalog.text::pg_catalog.json)) a
  JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) a.schema
  JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) a.name
  WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::"char"[])
), down(base, oid) AS (
  SELECT g.oid, g.oid FROM guarded g
  UNION
  SELECT d.base, i.inhrelid FROM down d JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) d.oid
), up(base, oid) AS (
  SELECT g.oid, g.oid FROM guarded g
  UNION
  SELECT u.base, i.inhparent FROM up u JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) u.oid
), over(base, oid, is_view) AS (
  SELECT d.base, d.oid, false FROM down d
  UNION
  SELECT o.base, v.oid, true
  FROM over o
  JOIN pg_catalog.pg_depend p ON p.refclassid OPERATOR(pg_catalog.=) 1259 AND p.refobjid OPERATOR(pg_catalog.=) o.oid AND p.classid OPERATOR(pg_catalog.=) 2618
  JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) p.objid
  JOIN pg_catalog.pg_class v ON v.oid OPERATOR(pg_catalog.=) r.ev_class AND v.relkind OPERATOR(pg_catalog.=) 'v' AND v.oid OPERATOR(pg_catalog.<>) o.oid
), found(base, oid, how) AS (
  SELECT d.base, d.oid, 'descendant' FROM down d WHERE d.oid OPERATOR(pg_catalog.<>) d.base
  UNION ALL
  SELECT u.base, u.oid, 'ancestor' FROM up u WHERE u.oid OPERATOR(pg_catalog.<>) u.base
  UNION ALL
  SELECT o.base, o.oid, 'view' FROM over o WHERE o.is_view
)
SELECT pg_catalog.encode(pg_catalog.convert_to(COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object(
  'base', pg_catalog.json_build_object('schema', bn.nspname, 'name', b.relname),
  'schema', n.nspname, 'name', c.relname, 'how', f.how) ORDER BY b.oid, f.how, c.oid), '[]')::pg_catalog.text, 'UTF8'), 'hex')
FROM found f
JOIN pg_catalog.pg_class b ON b.oid OPERATOR(pg_catalog.=) f.base
JOIN pg_catalog.pg_namespace bn ON bn.oid OPERATOR(pg_catalog.=) b.relnamespace
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) f.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
