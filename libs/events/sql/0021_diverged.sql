-- Why the journal and its topic tell different stories (null: they do not, as far as is known). While it stands nothing
-- is noted, neither decided nor heard: each further entry would make the two differ more.
alter table journal.mark add column diverged text;

-- The publisher tells what its comparison with the topic found. Under the append lock: what is appended after this
-- returns sees it. SQLSTATE BT001 when another process publishes by now.
create function journal.note_divergence(why text, term bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform journal.lock();
  if not exists (
    select 1 from journal.leaders l where l.role = 'publisher' and l.term = note_divergence.term) then
    raise exception 'another process publishes by now' using errcode = 'BT001';
  end if;
  update journal.mark set diverged = why where diverged is distinct from why;
end $$;
grant execute on function journal.note_divergence(text, bigint) to :"service";

-- As before, and nothing comes in while the mark stands (SQLSTATE BT004). A command that is known already brings no row:
-- it gets its first answer all the same.
create or replace function journal.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare calls text; why text;
begin
  if tg_op = 'INSERT' then
    get diagnostics calls = pg_context;
    if position('journal.note(' in calls) > 0 or position('journal.append_one(' in calls) > 0 then
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
