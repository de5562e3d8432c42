-- The listener's part of journal.hear's transaction: offsets, and parked rows that are new or have moved on.
-- `term` (null: no check): SQLSTATE BT001 when another process leads by now; nothing is written then.
-- A row that has ended stays as it ended, whoever reads its record again.
create function journal.note_listening(
  topics text[], topic_ids text[], partitions int[], next_offsets bigint[], epochs int[], sequences bigint[],
  parked jsonb, term bigint)
returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  if term is not null and not exists (select 1 from journal.leaders l where l.term = note_listening.term) then
    raise exception 'another process listens by now' using errcode = 'BT001';
  end if;
  insert into journal.offsets as o (topic, partition, topic_id, next_offset, epoch, sequence)
  select u.topic, u.partition, u.topic_id, u.next_offset, coalesce(u.epoch, 0), coalesce(u.sequence, 0)
  from unnest(topics, partitions, topic_ids, next_offsets, epochs, sequences)
    u (topic, partition, topic_id, next_offset, epoch, sequence)
  on conflict on constraint offsets_pkey do update
    set topic_id = excluded.topic_id, next_offset = excluded.next_offset, epoch = excluded.epoch,
      sequence = excluded.sequence;
  insert into journal.parked as p (
    id, kind, state, topic, topic_id, partition, record_offset, key, reason, headers, value, event_id, type, tenant,
    subject, sequence, previous, mended, ended_by, ended_at)
  select r.id, r.kind, r.state, r.topic, r.topic_id, r.partition, r.record_offset, r.key, r.reason, r.headers,
    decode(r.value, 'base64'), r.event_id, r.type, r.tenant, r.subject, r.sequence, r.previous,
    decode(r.mended, 'base64'), r.ended_by, case when r.state in ('released', 'dropped') then clock_timestamp() end
  from jsonb_to_recordset(coalesce(parked, '[]')) r (
    id uuid, kind text, state text, topic text, topic_id text, partition int, record_offset bigint, key text,
    reason text, headers jsonb, value text, event_id uuid, type text, tenant text, subject uuid, sequence bigint,
    previous bigint, mended text, ended_by text)
  on conflict on constraint parked_pkey do update
    set kind = excluded.kind, state = excluded.state, reason = excluded.reason, mended = excluded.mended,
      ended_by = excluded.ended_by, ended_at = excluded.ended_at, act = null, act_by = null, act_mended = null,
      tries = p.tries + case when p.act = 'retry' then 1 else 0 end
    where p.state in ('parked', 'waiting');
end $$;
