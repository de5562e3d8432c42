-- A group of decided appends; each has its own outcome, a conflict harms no neighbour. See journal.note.
create function journal.append(
  a_stream uuid[], a_expected int[], a_count int[], a_digest bytea[], a_tenant text[], a_subject uuid[], a_actor text[],
  a_command uuid[], a_causation uuid[], a_correlation uuid[], a_traceparent text[], a_basis bigint[],
  a_occurred timestamptz[], e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[])
returns table (outcome "char", last_position bigint, last_version int, last_noted_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  n int[] := array[cardinality(a_stream)];
begin
  return query select * from journal.note(
    a_stream, a_expected, a_count, array_fill(true, n), a_digest, a_tenant, a_subject, a_actor, a_command, a_causation,
    a_correlation, a_traceparent, a_basis, array_fill(null::int, n), a_occurred, array_fill(null::timestamptz, n),
    array_fill(false, n), e_id, e_type, e_schema, e_data, false);
end $$;
grant execute on function journal.append to :"service";
