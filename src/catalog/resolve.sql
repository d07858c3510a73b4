-- $1: [{"schema": null|"s", "name": "t", "parents": [{"schema": "s", "name": "t"}, …]}, …], ASCII JSON
WITH RECURSIVE asked AS (
  SELECT a.ord, 0::pg_catalog.int8 AS parent, a.v OPERATOR(pg_catalog.->>) 'schema' AS schema, a.v OPERATOR(pg_catalog.->>) 'name' AS name, a.v
  FROM pg_catalog.json_array_elements($1::pg_catalog.text::pg_catalog.json) WITH ORDINALITY a(v, ord)
), named AS MATERIALIZED (
  SELECT q.ord, q.parent,
    CASE WHEN q.name OPERATOR(pg_catalog.=) '' THEN NULL
         WHEN q.schema IS NULL THEN pg_catalog.to_regclass(pg_catalog.quote_ident(q.name))::pg_catalog.oid
         ELSE (SELECT c.oid FROM pg_catalog.pg_class c
               WHERE c.relname OPERATOR(pg_catalog.=) q.name::pg_catalog.name AND c.relnamespace OPERATOR(pg_catalog.=)
                 CASE q.schema WHEN 'pg_temp' THEN pg_catalog.pg_my_temp_schema()
                 ELSE (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) q.schema::pg_catalog.name) END)
    END AS oid
  FROM (SELECT ord, parent, schema, name FROM asked
        UNION ALL
        SELECT a.ord, p.ord, p.v OPERATOR(pg_catalog.->>) 'schema', p.v OPERATOR(pg_catalog.->>) 'name'
        FROM asked a, pg_catalog.json_array_elements(a.v OPERATOR(pg_catalog.->) 'parents') WITH ORDINALITY p(v, ord)) q
), target AS MATERIALIZED (
  SELECT DISTINCT oid FROM named WHERE oid IS NOT NULL
)
select 1
