-- The journal's head. `instant`: nothing will ever be noted at or before it; the mark keeps that promise.
create function journal.head()
returns table (last_position bigint, last_sequence bigint, instant timestamptz, epoch int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  noted timestamptz; announced timestamptz;
begin
  perform journal.lock();
  select j.position, j.sequence, j.noted_at into last_position, last_sequence, noted
    from journal.entries j order by j.position desc limit 1;
  last_position := coalesce(last_position, 0);
  last_sequence := coalesce(last_sequence, 0);
  select m.epoch, m.announced_at into epoch, announced from journal.mark m;
  instant := greatest(journal.domain_now(), noted, announced);
  if instant > announced then
    update journal.mark set announced_at = instant;
  end if;
  return next;
end $$;
grant execute on function journal.head() to :"service";

-- The last position noted at or before an instant (0: none): binary search, since both only grow.
create function journal.position_at(instant timestamptz) returns bigint
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  low bigint := 0; high bigint; middle bigint; noted timestamptz;
begin
  select j.position, j.noted_at into high, noted from journal.entries j order by j.position desc limit 1;
  if high is null or noted <= instant then
    return coalesce(high, 0);
  end if;
  while high - low > 1 loop
    middle := low + (high - low) / 2;
    select j.noted_at into noted from journal.entries j where j.position = middle;
    if noted <= instant then low := middle; else high := middle; end if;
  end loop;
  return low;
end $$;
grant execute on function journal.position_at(timestamptz) to :"service", :"reader";

-- The same, and whether the answer can never change: the last entry or the announced head has passed the instant.
-- One snapshot serves both questions; commits come in the order of positions, so nothing older can still be on its way.
create function journal.as_of(instant timestamptz)
returns table (last_position bigint, final boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select journal.position_at(instant), instant <= greatest(
    (select m.announced_at from journal.mark m),
    (select j.noted_at from journal.entries j order by j.position desc limit 1))
$$;
grant execute on function journal.as_of(timestamptz) to :"service", :"reader";
