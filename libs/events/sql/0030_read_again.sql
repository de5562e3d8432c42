-- How far a topic had been read when it began to be read again from its start, for types that were passed over: until that
-- is reached, nothing that its owner announces counts as heard. It is forgotten once reached, or with a topic made anew.
alter table journal.offsets add column reread_until bigint not null default 0;
do $$
declare
  body text := pg_get_functiondef('journal.note_listening'::regproc);
  before text := 'set topic_id = excluded.topic_id,';
begin
  if position(before in body) = 0 then
    raise exception 'journal.note_listening is not as 0026 left it';
  end if;
  execute replace(body, before, $new$set reread_until = case
        when o.topic_id = excluded.topic_id and excluded.next_offset < o.reread_until then o.reread_until else 0 end,
      topic_id = excluded.topic_id,$new$);
end $$;
