-- How far the decided entries are acknowledged by the topic. `partitions`: per partition [last sequence, next offset].
create table journal.published (
  one boolean primary key default true check (one),
  sequence bigint not null default 0,
  topic_id text not null default '',
  partitions jsonb not null default '{}',
  resend_from bigint,                     -- an operator asks to send again from this sequence
  updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
insert into journal.published default values;
grant select, update on journal.published to :"service";
