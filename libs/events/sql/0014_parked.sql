-- Records that could not be taken, and the records of the same key that wait behind them, as they came.
create table journal.parked (
  id uuid primary key,
  number bigint generated always as identity,                  -- the order in which they were set aside
  kind text not null,
  state text not null check (state in ('parked', 'waiting', 'released', 'dropped')),
  topic text not null,
  topic_id text not null,
  partition int not null,
  record_offset bigint not null,
  key text not null,
  reason text not null,
  headers jsonb not null default '[]',    -- [name, base64] in their order
  value bytea not null default '',
  event_id uuid,
  type text,
  tenant text not null default '',
  subject uuid,
  sequence bigint,
  previous bigint,
  mended bytea,
  parked_at timestamptz not null default clock_timestamp(),   -- the machine's clock
  ended_at timestamptz,
  ended_by text,
  act text check (act in ('retry', 'drop')),                   -- asked for by an operator, not yet done
  act_by text,
  act_at timestamptz,
  act_mended bytea,
  tries int not null default 0
);
create index parked_pending on journal.parked (topic, key, number) where state in ('parked', 'waiting');
create unique index parked_number on journal.parked (number);
create index parked_event on journal.parked (event_id);
create index parked_act on journal.parked (act_at) where act is not null;
grant select, insert, update on journal.parked to :"service";
