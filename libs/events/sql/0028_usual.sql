-- The usual way in. Most groups hold nothing that is known, no conflict, and no stream or id twice: then one statement
-- looks, numbers and writes. Whatever else comes goes through journal.note, one append after another; outcomes are the same.

-- `after`: first ids of the group that is under way over another connection and goes first. When one of them does not
-- stand yet, nothing is noted and no row comes back: send it again when that group is answered.
drop function journal.append(
  uuid[], int[], int[], bytea[], text[], uuid[], text[], uuid[], uuid[], uuid[], text[], bigint[], timestamptz[], uuid[],
  text[], smallint[], bytea[]);
create function journal.append(
  a_stream uuid[], a_expected int[], a_count int[], a_digest bytea[], a_tenant text[], a_subject uuid[], a_actor text[],
  a_command uuid[], a_causation uuid[], a_correlation uuid[], a_traceparent text[], a_basis bigint[],
  a_occurred timestamptz[], e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[], after uuid[] default '{}')
returns table (outcome "char", last_position bigint, last_version int, last_noted_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  n_appends int := cardinality(a_stream);
  n int[] := array[n_appends];
  first_fact int[];              -- facts before each append in e_*
  e_append int[];                -- whose fact each of e_* is
  facts int := 0; each int;
  head_position bigint; head_sequence bigint; head_noted timestamptz; own_epoch int; announced timestamptz; why text;
  stamp timestamptz;
begin
  perform journal.lock();
  perform from unnest(after) u (id)
    left join lateral (select true as stands from journal.entries j where j.id = u.id limit 1) k on true
    where k.stands is null;
  if found then
    return;
  end if;
  select j.position, j.sequence, j.noted_at into head_position, head_sequence, head_noted
    from journal.entries j order by j.position desc limit 1;
  head_position := coalesce(head_position, 0);
  head_sequence := coalesce(head_sequence, 0);
  select m.epoch, m.announced_at, m.diverged into own_epoch, announced, why from journal.mark m;
  if why is null then
    stamp := greatest(journal.reached(), head_noted + interval '1 us', announced + interval '1 us');
    foreach each in array a_count loop
      first_fact := first_fact || facts;
      facts := facts + each;
      e_append := e_append || array_fill(cardinality(first_fact), array[each]);
    end loop;
    return query
      with looked as materialized (
        select g.*, coalesce(s.version, 0) as standing, e_id[g.before + 1] as first_id, k.position as known
        from unnest(
            a_stream, a_expected, a_count, a_digest, a_tenant, a_subject, a_actor, a_command, a_causation,
            a_correlation, a_traceparent, a_basis, a_occurred, first_fact)
          with ordinality g (
            stream, expected, n, digest, tenant, subject, actor, command, causation, correlation, traceparent, basis,
            occurred, before, o)
        left join lateral (
          select j.version from journal.entries j where j.decided and j.stream = g.stream
          order by j.version desc limit 1) s on true
        left join lateral (
          select j.position from journal.entries j where j.id = e_id[g.before + 1] limit 1) k on true
      ), usual as materialized (
        select bool_and(l.known is null and l.expected in (-1, l.standing))
          and count(distinct l.stream) = n_appends and count(distinct l.first_id) = n_appends as so
        from looked l
      ), noted as (
        insert into journal.entries (
          position, sequence, occurred_at, recorded_at, noted_at, basis, version, epoch, id, stream, subject,
          command_id, causation_id, correlation_id, schema_version, decided, backfilled, digest, type, tenant, actor,
          traceparent, data)
        select head_position + e.i, head_sequence + e.i, l.occurred, stamp + (e.i - 1) * interval '1 us',
          stamp + (e.i - 1) * interval '1 us', l.basis, l.standing + e.i - l.before, own_epoch, e.id, l.stream,
          l.subject, l.command, l.causation, l.correlation, e.schema, true, false, l.digest, e.type, l.tenant, l.actor,
          l.traceparent, e.data
        from unnest(e_append, e_id, e_type, e_schema, e_data) with ordinality e (a, id, type, schema, data, i)
        join looked l on l.o = e.a
        where (select u.so from usual u)
        order by e.i  -- as they will be read; and each index grows at its end
      )
      select 'o'::"char", head_position + l.before + l.n, l.standing + l.n,
        stamp + (l.before + l.n - 1) * interval '1 us'
      from looked l, usual u where u.so order by l.o;
    if found then
      return;
    end if;
  end if;
  return query select * from journal.note(
    a_stream, a_expected, a_count, array_fill(true, n), a_digest, a_tenant, a_subject, a_actor, a_command, a_causation,
    a_correlation, a_traceparent, a_basis, array_fill(null::int, n), a_occurred, array_fill(null::timestamptz, n),
    array_fill(false, n), e_id, e_type, e_schema, e_data, false);
end $$;
grant execute on function journal.append to :"service";

-- As in 0008.
create or replace function journal.hear(
  a_stream uuid[], a_expected int[], a_count int[], a_decided boolean[], a_digest bytea[], a_tenant text[],
  a_subject uuid[], a_actor text[], a_command uuid[], a_causation uuid[], a_correlation uuid[], a_traceparent text[],
  a_basis bigint[], a_epoch int[], a_occurred timestamptz[], a_recorded timestamptz[], a_backfilled boolean[],
  e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[],
  topics text[], topic_ids text[], partitions int[], next_offsets bigint[], epochs int[], sequences bigint[],
  parked jsonb, term bigint)
returns table (outcome "char", last_position bigint, last_version int, last_noted_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  refused boolean := false;
  head_position bigint; head_sequence bigint; head_noted timestamptz; announced timestamptz; why text;
  now_ timestamptz; stamp timestamptz; latest timestamptz; written bigint := 0;
begin
  perform journal.lock();
  select j.position, j.sequence, j.noted_at into head_position, head_sequence, head_noted
    from journal.entries j order by j.position desc limit 1;
  head_position := coalesce(head_position, 0);
  head_sequence := coalesce(head_sequence, 0);
  select m.announced_at, m.diverged into announced, why from journal.mark m;
  now_ := journal.reached();
  select max(r) into latest from unnest(a_recorded) r;
  if why is null and not true = any (a_decided) and latest <= now_ + interval '60 s' then
    stamp := greatest(now_, head_noted + interval '1 us', announced + interval '1 us', latest + interval '1 us');
    with looked as materialized (
      select u.*, k.position as known
      from unnest(
          a_stream, a_expected, a_digest, a_tenant, a_subject, a_actor, a_command, a_causation, a_correlation,
          a_traceparent, a_basis, a_epoch, a_occurred, a_recorded, a_backfilled, e_id, e_type, e_schema, e_data)
        with ordinality u (
          stream, version, digest, tenant, subject, actor, command, causation, correlation, traceparent, basis, epoch,
          occurred, recorded, backfilled, id, type, schema, data, i)
      left join lateral (select j.position from journal.entries j where j.id = u.id limit 1) k on true
    ), usual as materialized (
      select bool_and(l.known is null) and count(distinct l.id) = count(*) as so from looked l
    )
    insert into journal.entries (
      position, sequence, occurred_at, recorded_at, noted_at, basis, version, epoch, id, stream, subject, command_id,
      causation_id, correlation_id, schema_version, decided, backfilled, digest, type, tenant, actor, traceparent, data)
    select head_position + l.i, head_sequence, l.occurred, l.recorded, stamp + (l.i - 1) * interval '1 us', l.basis,
      l.version, l.epoch, l.id, l.stream, l.subject, l.command, l.causation, l.correlation, l.schema, false,
      l.backfilled, l.digest, l.type, l.tenant, l.actor, l.traceparent, l.data
    from looked l where (select u.so from usual u);
    get diagnostics written = row_count;
  end if;
  if written > 0 then
    return query
      select 'o'::"char", head_position + u.i, u.version, stamp + (u.i - 1) * interval '1 us'
      from unnest(a_expected) with ordinality u (version, i) order by u.i;
  else
    for outcome, last_position, last_version, last_noted_at in
      select * from journal.note(
        a_stream, a_expected, a_count, a_decided, a_digest, a_tenant, a_subject, a_actor, a_command, a_causation,
        a_correlation, a_traceparent, a_basis, a_epoch, a_occurred, a_recorded, a_backfilled, e_id, e_type, e_schema,
        e_data, true)
    loop
      refused := refused or outcome in ('c', 'r');
      return next;
    end loop;
  end if;
  if not refused then
    perform journal.note_listening(
      topics, topic_ids, partitions, next_offsets, epochs, sequences, parked, term);
  end if;
end $$;

-- As in 0021 and 0027: rows come in through the journal's functions.
create or replace function journal.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare calls text; why text;
begin
  if tg_op = 'INSERT' then
    get diagnostics calls = pg_context;
    if position('journal.restore(' in calls) > 0 then
      return null;
    end if;
    if position('journal.append(' in calls) > 0 or position('journal.append_one(' in calls) > 0
      or position('journal.hear(' in calls) > 0 then
      select m.diverged into why from journal.mark m;
      if why is not null then
        raise exception 'nothing is noted here: %', why using errcode = 'BT004';
      end if;
      return null;
    end if;
  end if;
  raise exception '% on journal.entries is refused: the journal is append only', tg_op
    using errcode = 'insufficient_privilege', hint = 'append through the journal''s functions; correct by a new fact';
end $$;
