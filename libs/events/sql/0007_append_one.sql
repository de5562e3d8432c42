-- One decided append by itself: the short way for a group of one, which is the usual group of a quiet service.
-- The same outcomes as journal.note.
create function journal.append_one(
  a_stream uuid, a_expected int, a_digest bytea, a_tenant text, a_subject uuid, a_actor text, a_command uuid,
  a_causation uuid, a_correlation uuid, a_traceparent text, a_basis bigint, a_occurred timestamptz,
  e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[])
returns table (outcome "char", last_position bigint, last_version int, last_noted_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  n int := cardinality(e_id);
  head_position bigint; head_sequence bigint; head_noted timestamptz; own_epoch int; announced timestamptz;
  known_position bigint; same boolean; standing int; stamp timestamptz;
begin
  perform journal.lock();
  select j.position, (j.digest, j.command_id, j.decided) = (a_digest, a_command, true) into known_position, same
    from journal.entries j where j.id = e_id[1];
  if found then
    if not same then
      return query select 'r'::"char", null::bigint, null::int, null::timestamptz;
    else
      return query
        select 'k'::"char", j.position, j.version, j.noted_at from journal.entries j
        where j.position between known_position and known_position + 99 and j.command_id = a_command and j.decided
        order by j.position desc limit 1;
    end if;
    return;
  end if;
  select j.version into standing from journal.entries j where j.decided and j.stream = a_stream
    order by j.version desc limit 1;
  standing := coalesce(standing, 0);
  if a_expected <> -1 and a_expected <> standing then
    return query select 'c'::"char", null::bigint, standing, null::timestamptz;
    return;
  end if;
  select j.position, j.sequence, j.noted_at into head_position, head_sequence, head_noted
    from journal.entries j order by j.position desc limit 1;
  head_position := coalesce(head_position, 0);
  head_sequence := coalesce(head_sequence, 0);
  select m.epoch, m.announced_at into own_epoch, announced from journal.mark m;
  stamp := greatest(journal.domain_now(), head_noted + interval '1 us', announced + interval '1 us');
  insert into journal.entries (
    position, sequence, occurred_at, recorded_at, noted_at, basis, version, epoch, id, stream, subject, command_id,
    causation_id, correlation_id, schema_version, decided, backfilled, digest, type, tenant, actor, traceparent, data)
  select head_position + e.i, head_sequence + e.i, a_occurred, stamp + (e.i - 1) * interval '1 us',
    stamp + (e.i - 1) * interval '1 us', a_basis, standing + e.i, own_epoch, e.id, a_stream, a_subject, a_command,
    a_causation, a_correlation, e.schema, true, false, a_digest, e.type, a_tenant, a_actor, a_traceparent, e.data
  from unnest(e_id, e_type, e_schema, e_data) with ordinality e (id, type, schema, data, i);
  return query select 'o'::"char", head_position + n, standing + n, stamp + (n - 1) * interval '1 us';
end $$;
grant execute on function journal.append_one to :"service";
