-- How far the domain clock has ever been seen to go. When the clock of a machine that several services share jumps ahead
-- and back, their journals go on from where it was; they must not take one another's facts for wrong until it has caught
-- up. What was heard does not count: an owner whose clock runs fast must not draw everybody with it.
alter table journal.mark add column clock_at timestamptz not null default '-infinity';

create function journal.reached() returns timestamptz
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  select greatest(journal.domain_now(), (select m.clock_at from journal.mark m))
$$;
grant execute on function journal.reached() to :"service";

-- As in 0009; it also remembers the clock.
create or replace function journal.head()
returns table (last_position bigint, last_sequence bigint, instant timestamptz, epoch int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  noted timestamptz; announced timestamptz; seen timestamptz;
begin
  perform journal.lock();
  select j.position, j.sequence, j.noted_at into last_position, last_sequence, noted
    from journal.entries j order by j.position desc limit 1;
  last_position := coalesce(last_position, 0);
  last_sequence := coalesce(last_sequence, 0);
  select m.epoch, m.announced_at into epoch, announced from journal.mark m;
  seen := journal.reached();
  instant := greatest(seen, noted, announced);
  if instant > announced then
    update journal.mark set announced_at = instant, clock_at = seen;
  end if;
  return next;
end $$;

-- In journal.note (0005), whether a heard record is from a clock ahead of ours is judged by that, too.
do $$
declare
  body text := pg_get_functiondef('journal.note'::regproc);
  before text := 'now_ := journal.domain_now();';
begin
  if position(before in body) = 0 then
    raise exception 'journal.note is not as 0005 left it';
  end if;
  execute replace(body, before, 'now_ := journal.reached();');
end $$;
