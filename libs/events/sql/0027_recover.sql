-- What a journal that was restored from a backup lacks comes back from the topics: see recovering.py.

-- A fact that was taken back tells its command's id, but not what the command said (its digest is zero): such a command
-- is known by its id alone, and gets its first answer whatever it says now.
do $$
declare
  body text;
  changed text[];
begin
  foreach changed slice 1 in array array[
    array['journal.note', '(k.digest, k.command_id, k.decided)',
      '(journal.digest_or(k.digest, u.digest), k.command_id, k.decided)'],
    array['journal.append_one', '(j.digest, j.command_id, j.decided)',
      '(journal.digest_or(j.digest, a_digest), j.command_id, j.decided)']]
  loop
    body := pg_get_functiondef(changed[1]::regproc);
    if position(changed[2] in body) = 0 then
      raise exception '% is not as it was left', changed[1];
    end if;
    execute replace(body, changed[2], changed[3]);
  end loop;
end $$;

create function journal.digest_or(digest bytea, instead bytea) returns bytea
language sql immutable as $$
  select case when digest = '\x00000000000000000000000000000000' then instead else digest end
$$;

-- Note the rows of pg_temp.restored, which the caller has filled: own facts at their instants and with their sequences,
-- and what was heard each just after it was recorded, or as soon after that as instants can tell apart (a microsecond).
-- Then how far the own topic and the others were read is stored, a new epoch begins and the mark is taken away. For the
-- owner of the journal, while nothing else writes it. Returns how many of both were noted, and the epoch.
create function journal.restore(
  last_sequence bigint, topic_id text, published jsonb, announced timestamptz,
  topics text[], topic_ids text[], partitions int[], next_offsets bigint[], epochs int[], sequences bigint[])
returns table (own bigint, heard bigint, epoch int)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  owns cursor (after bigint) for select distinct on (r.sequence) * from restored r
    where r.decided and r.sequence > after order by r.sequence;
  hears cursor for select * from restored r where not r.decided
    and not exists (select from journal.entries e where e.id = r.id) order by r.recorded_at, r.number;
  o record; h record; more_own boolean; more_heard boolean; slot timestamptz; latest_epoch int;
  place bigint; seq bigint; last timestamptz;
begin
  perform journal.lock();
  select j.position, j.sequence, j.noted_at into place, seq, last from journal.entries j order by j.position desc limit 1;
  place := coalesce(place, 0); seq := coalesce(seq, 0); last := coalesce(last, '-infinity');
  own := 0; heard := 0;
  select coalesce(max(r.epoch), 0) into latest_epoch from restored r where r.decided;
  open owns (after := seq); open hears;
  fetch owns into o; more_own := found;
  fetch hears into h; more_heard := found;
  while more_own or more_heard loop
    place := place + 1;
    slot := case when more_heard then greatest(last, h.recorded_at) + interval '1 us' end;
    if more_own and (slot is null or o.recorded_at <= slot) then
      seq := seq + 1;
      if more_heard and exists (
        select from restored r where r.id = o.causation_id and not r.decided
          and (r.recorded_at, r.number) >= (h.recorded_at, h.number)) then
        raise exception 'sequence % of % would stand before its cause: more was heard than instants lie between them',
          o.sequence, o.type using errcode = 'BT005';
      end if;
      if o.sequence <> seq or o.recorded_at <= last then
        raise exception 'sequence % of %, recorded at %, cannot follow sequence % of %', o.sequence, o.type,
          o.recorded_at, seq - 1, last using errcode = 'BT005';
      end if;
      insert into journal.entries (
        position, sequence, occurred_at, recorded_at, noted_at, basis, version, epoch, id, stream, subject, command_id,
        causation_id, correlation_id, schema_version, decided, backfilled, digest, type, tenant, actor, traceparent,
        data)
      values (
        place, seq, o.occurred_at, o.recorded_at, o.recorded_at, o.basis, o.version, o.epoch, o.id, o.stream,
        o.subject, o.command_id, o.causation_id, o.correlation_id, o.schema_version, true, false, o.digest, o.type,
        o.tenant, o.actor, o.traceparent, o.data);
      own := own + 1; last := o.recorded_at;
      fetch owns into o; more_own := found;
    else
      insert into journal.entries (
        position, sequence, occurred_at, recorded_at, noted_at, basis, version, epoch, id, stream, subject, command_id,
        causation_id, correlation_id, schema_version, decided, backfilled, digest, type, tenant, actor, traceparent,
        data)
      values (
        place, seq, h.occurred_at, h.recorded_at, slot, h.basis, h.version, h.epoch, h.id, h.stream, h.subject,
        h.command_id, h.causation_id, h.correlation_id, h.schema_version, false, h.backfilled, h.digest, h.type,
        h.tenant, h.actor, h.traceparent, h.data);
      heard := heard + 1; last := slot;
      fetch hears into h; more_heard := found;
    end if;
  end loop;
  if seq <> last_sequence then
    raise exception 'the topic ends at sequence %, and only % came of it', last_sequence, seq using errcode = 'BT005';
  end if;
  perform journal.note_listening(topics, topic_ids, partitions, next_offsets, epochs, sequences, '[]', null);
  update journal.published p set sequence = last_sequence, topic_id = restore.topic_id, partitions = restore.published,
    resend_from = null, updated_at = clock_timestamp();
  update journal.mark m set epoch = greatest(m.epoch, latest_epoch) + 1, diverged = null,
    announced_at = greatest(m.announced_at, announced)
    returning m.epoch into epoch;
  -- A held clock stands where it had been seen to stand.
  update journal.clock c set held_at = greatest(c.held_at, announced) where c.held_at < announced;
  return next;
end $$;

-- As in 0021; what is taken back is noted while the mark stands.
do $$
declare
  body text := pg_get_functiondef('journal.refuse'::regproc);
  before text := 'get diagnostics calls = pg_context;';
begin
  if position(before in body) = 0 then
    raise exception 'journal.refuse is not as 0021 left it';
  end if;
  execute replace(body, before, before || $new$
    if position('journal.restore(' in calls) > 0 then
      return null;
    end if;$new$);
end $$;
