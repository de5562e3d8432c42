-- Who takes a role over waits for what its predecessor is still committing: in journal.note_listening (0015) the term is
-- not only looked at but held to the end of the transaction. Otherwise the successor could load offsets and parked rows
-- just before the last of the predecessor's came, and go on without them.
do $$
declare
  body text := pg_get_functiondef('journal.note_listening'::regproc);
  before text := 'not exists (select 1 from journal.leaders l where l.term = note_listening.term)';
begin
  if position(before in body) = 0 then
    raise exception 'journal.note_listening is not as 0015 left it';
  end if;
  execute replace(body, before, '(select l.term from journal.leaders l where l.term = note_listening.term for share) is null');
end $$;
