-- An append function as most would write it: one transaction per append, a version check, jsonb, no group, no order.
create table event (
  position bigint generated always as identity primary key,
  stream text not null,
  version int not null,
  type text not null,
  data jsonb not null,
  meta jsonb not null,
  at timestamptz not null default clock_timestamp(),
  unique (stream, version));

create function append_once(wanted text, expected int, types text[], datas jsonb[], metas jsonb[])
returns bigint language plpgsql as $$
declare
  stands int;
begin
  select version into stands from event where stream = wanted order by version desc limit 1;
  if coalesce(stands, 0) <> expected then
    raise exception 'stream % stands at %, not at %', wanted, coalesce(stands, 0), expected using errcode = '40001';
  end if;
  insert into event (stream, version, type, data, meta)
    select wanted, expected + o, t, d, m from unnest(types, datas, metas) with ordinality u (t, d, m, o);
  return lastval();
end $$;
