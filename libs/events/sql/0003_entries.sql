-- The journal: what this service decided and what it heard, in the order of their commits.
create table journal.entries (
  position bigint primary key,            -- gapless
  sequence bigint not null,               -- decided entries up to this one, itself included; gapless over decided ones
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  noted_at timestamptz not null,          -- strictly increasing with position
  basis bigint,
  version int not null,
  epoch int not null,                     -- of the owner's journal
  id uuid not null,
  stream uuid not null,
  subject uuid not null,
  command_id uuid not null,
  causation_id uuid,
  correlation_id uuid not null,
  schema_version smallint not null,
  decided boolean not null,
  backfilled boolean not null,
  digest bytea not null,                  -- decided: of the command; heard: of the record; the same id, the same digest
  type text not null,
  tenant text not null,
  actor text not null,
  traceparent text not null,
  data bytea not null,
  check (position > 0 and sequence between 0 and position and version > 0 and octet_length(digest) = 16),
  check (case when decided then recorded_at = noted_at and not backfilled else recorded_at < noted_at end)
) with (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

create unique index entries_id on journal.entries (id);
create unique index entries_stream on journal.entries (stream, version) where decided;
create unique index entries_sequence on journal.entries (sequence) where decided;
grant select on journal.entries to :"service";

-- Append only, for the owner too: rows come in through journal.note and journal.append_one and never change.
create function journal.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare calls text;
begin
  if tg_op = 'INSERT' then
    get diagnostics calls = pg_context;
    if position('journal.note(' in calls) > 0 or position('journal.append_one(' in calls) > 0 then
      return null;
    end if;
  end if;
  raise exception '% on journal.entries is refused: the journal is append only', tg_op
    using errcode = 'insufficient_privilege', hint = 'append through the journal''s functions; correct by a new fact';
end $$;
create trigger append_only before insert or update or delete or truncate on journal.entries
  for each statement execute function journal.refuse();
