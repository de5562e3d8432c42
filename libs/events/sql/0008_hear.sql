-- A batch of heard records, what was decided about them, the topics' offsets and the parked records: one transaction,
-- all or nothing. With any conflict, or an id that comes with other bytes, nothing is written and the outcomes say why.
create function journal.hear(
  a_stream uuid[], a_expected int[], a_count int[], a_decided boolean[], a_digest bytea[], a_tenant text[],
  a_subject uuid[], a_actor text[], a_command uuid[], a_causation uuid[], a_correlation uuid[], a_traceparent text[],
  a_basis bigint[], a_epoch int[], a_occurred timestamptz[], a_recorded timestamptz[], a_backfilled boolean[],
  e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[],
  topics text[], topic_ids text[], partitions int[], next_offsets bigint[], epochs int[], sequences bigint[],
  parked jsonb, term bigint)
returns table (outcome "char", last_position bigint, last_version int, last_noted_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  refused boolean := false;
begin
  for outcome, last_position, last_version, last_noted_at in
    select * from journal.note(
      a_stream, a_expected, a_count, a_decided, a_digest, a_tenant, a_subject, a_actor, a_command, a_causation,
      a_correlation, a_traceparent, a_basis, a_epoch, a_occurred, a_recorded, a_backfilled, e_id, e_type, e_schema,
      e_data, true)
  loop
    refused := refused or outcome in ('c', 'r');
    return next;
  end loop;
  if not refused then
    perform journal.note_listening(
      topics, topic_ids, partitions, next_offsets, epochs, sequences, parked, term);
  end if;
end $$;
grant execute on function journal.hear to :"service";
