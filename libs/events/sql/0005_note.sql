-- Note a group of appends in one go: look up all, decide one after another in arrays, one INSERT.
--
-- Arrays a_*: one element per append; e_*: one per fact, in the order of the appends. For heard appends (one fact each)
-- a_expected is the version that its owner gave it; for decided ones the stream's expected version, -1 for any.
-- Outcomes, in order: o noted, k known (position, version, instant of the first result), c conflict (the version that
-- stands), r the same id with another digest. Positions and versions are those of the append's last fact.
-- `together`: all or nothing; with any c or r nothing is written.
-- An append has at most 100 facts (FACTS_MAX in appends.py), at neighbouring positions.
-- SQLSTATE BT002: a heard record claims to be recorded more than a minute ahead of the domain clock.
create function journal.note(
  a_stream uuid[], a_expected int[], a_count int[], a_decided boolean[], a_digest bytea[], a_tenant text[],
  a_subject uuid[], a_actor text[], a_command uuid[], a_causation uuid[], a_correlation uuid[], a_traceparent text[],
  a_basis bigint[], a_epoch int[], a_occurred timestamptz[], a_recorded timestamptz[], a_backfilled boolean[],
  e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[], together boolean)
returns table (outcome "char", last_position bigint, last_version int, last_noted_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  n_appends int := cardinality(a_stream);
  zeros int[] := array_fill(0, array[n_appends]);
  state "char"[] := array_fill(' '::"char", array[n_appends]);
  at_position bigint[] := array_fill(null::bigint, array[n_appends]);
  at_version int[] := array_fill(null::int, array[n_appends]);
  at_noted timestamptz[] := array_fill(null::timestamptz, array[n_appends]);
  standing int[] := zeros;       -- the stream's version after this append was looked at
  accepted int[] := zeros;       -- which append of this group brought the same first id
  first_fact int[] := zeros;     -- facts before this append in e_*
  before_facts int[] := zeros;   -- facts noted before this append's
  before_decided int[] := zeros;
  n_facts int := 0;
  n_decided int := 0;
  e_append int[] := array(
    select c.o::int from unnest(a_count) with ordinality c (n, o), generate_series(1, c.n) order by c.o);
  head_position bigint; head_sequence bigint; head_noted timestamptz; own_epoch int; announced timestamptz;
  now_ timestamptz; stamp timestamptz; latest timestamptz;
  a record; first record; v int; twin int;
begin
  perform journal.lock();
  select j.position, j.sequence, j.noted_at into head_position, head_sequence, head_noted
    from journal.entries j order by j.position desc limit 1;
  head_position := coalesce(head_position, 0);
  head_sequence := coalesce(head_sequence, 0);
  select m.epoch, m.announced_at into own_epoch, announced from journal.mark m;
  now_ := journal.domain_now();
  select max(r) into latest from unnest(a_recorded) r;
  if latest > now_ + interval '60 s' then
    raise exception 'a heard record says it was recorded at %, more than 60 s ahead of this clock (%)', latest, now_
      using errcode = 'BT002', hint = 'park it';
  end if;
  stamp := greatest(now_, head_noted + interval '1 us', announced + interval '1 us', latest + interval '1 us');

  for a in
    select u.stream, u.expected, u.n, u.decided, u.digest, u.command, u.o, u.facts_before,
      k.position as known_position, (k.digest, k.command_id, k.decided) = (u.digest, u.command, u.decided) as same,
      case when u.decided then coalesce(s.version, 0) else 0 end as version,
      lag(u.o) over (partition by u.decided, u.stream order by u.o) as same_stream,
      lag(u.o) over (partition by u.first_id order by u.o) as same_id
    from (
      select g.*, e_id[g.facts_before + 1] as first_id
      from (
        select x.stream, x.expected, x.n, x.decided, x.digest, x.command, x.o::int as o,
          (sum(x.n) over (order by x.o) - x.n)::int as facts_before
        from unnest(a_stream, a_expected, a_count, a_decided, a_digest, a_command)
          with ordinality x (stream, expected, n, decided, digest, command, o)
      ) g
    ) u
    left join lateral (
      select j.position, j.digest, j.command_id, j.decided from journal.entries j
      where j.id = u.first_id limit 1) k on true
    left join lateral (
      select j.version from journal.entries j where j.decided and u.decided and j.stream = u.stream
      order by j.version desc limit 1) s on true
    order by u.o
  loop
    v := case when a.same_stream is null then a.version else standing[a.same_stream] end;
    twin := case when a.same_id is null then 0 else accepted[a.same_id] end;
    standing[a.o] := v; accepted[a.o] := twin; first_fact[a.o] := a.facts_before;
    if a.known_position is not null then
      if not a.same then
        state[a.o] := 'r';
      else
        state[a.o] := 'k';
        select j.position, j.version, j.noted_at into strict first
          from journal.entries j
          where j.position between a.known_position and a.known_position + case when a.decided then 99 else 0 end
            and j.command_id = a.command and j.decided = a.decided
          order by j.position desc limit 1;
        at_position[a.o] := first.position; at_version[a.o] := first.version; at_noted[a.o] := first.noted_at;
      end if;
    elsif twin > 0 then
      if a_digest[twin] <> a.digest then
        state[a.o] := 'r';
      else
        state[a.o] := 'k';
        at_position[a.o] := at_position[twin]; at_version[a.o] := at_version[twin]; at_noted[a.o] := at_noted[twin];
      end if;
    elsif a.decided and a.expected <> -1 and a.expected <> v then
      state[a.o] := 'c'; at_version[a.o] := v;
    else
      state[a.o] := 'o'; accepted[a.o] := a.o; before_facts[a.o] := n_facts; before_decided[a.o] := n_decided;
      n_facts := n_facts + a.n;
      at_position[a.o] := head_position + n_facts;
      at_noted[a.o] := stamp + (n_facts - 1) * interval '1 us';
      at_version[a.o] := case when a.decided then v + a.n else a.expected end;
      if a.decided then
        n_decided := n_decided + a.n; standing[a.o] := v + a.n;
      end if;
    end if;
  end loop;

  if together and ('c' = any (state) or 'r' = any (state)) then
    return query
      select s.s, case when s.s = 'k' then s.p end, case when s.s in ('k', 'c') then s.v end,
        case when s.s = 'k' then s.t end
      from unnest(state, at_position, at_version, at_noted) with ordinality s (s, p, v, t, o) order by s.o;
    return;
  end if;

  if n_facts > 0 then
    insert into journal.entries (
      position, sequence, occurred_at, recorded_at, noted_at, basis, version, epoch, id, stream, subject, command_id,
      causation_id, correlation_id, schema_version, decided, backfilled, digest, type, tenant, actor, traceparent, data)
    select head_position + g.n, head_sequence + a.decided_before + case when a.decided then g.k else 0 end, a.occurred,
      case when a.decided then stamp + (g.n - 1) * interval '1 us' else a.recorded end,
      stamp + (g.n - 1) * interval '1 us', a.basis,
      case when a.decided then a.version - a.count + g.k else a.version end, coalesce(a.epoch, own_epoch), e.id,
      a.stream, a.subject, a.command, a.causation, a.correlation, e.schema, a.decided, a.backfilled, a.digest, e.type,
      a.tenant, a.actor, a.traceparent, e.data
    from unnest(e_append, e_id, e_type, e_schema, e_data) with ordinality e (a, id, type, schema, data, i)
    join unnest(
        state, first_fact, before_facts, before_decided, at_version, a_count, a_stream, a_decided, a_digest, a_tenant,
        a_subject, a_actor, a_command, a_causation, a_correlation, a_traceparent, a_basis, a_epoch, a_occurred,
        a_recorded, a_backfilled)
      with ordinality a (
        state, first_fact, facts_before, decided_before, version, count, stream, decided, digest, tenant, subject,
        actor, command, causation, correlation, traceparent, basis, epoch, occurred, recorded, backfilled, o)
      on a.o = e.a and a.state = 'o'
    cross join lateral (select (e.i - a.first_fact)::int as k, (a.facts_before + e.i - a.first_fact)::int as n) g;
  end if;
  return query
    select s.s, s.p, s.v, s.t from unnest(state, at_position, at_version, at_noted) with ordinality s (s, p, v, t, o)
    order by s.o;
end $$;
