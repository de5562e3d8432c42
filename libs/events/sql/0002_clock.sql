-- The domain clock. Held: it stands still at `held_at`. Else it runs, `"offset"` away from the machine's clock.
-- `fire_until`: while a held clock is advanced, timers fire up to this instant.
create table journal.clock (
  one boolean primary key default true check (one),
  held_at timestamptz,
  fire_until timestamptz,
  "offset" interval,
  check (held_at is null or "offset" is null)
);
insert into journal.clock default values;
grant select, update (held_at, fire_until, "offset") on journal.clock to :"service";

create function journal.domain_now() returns timestamptz
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(held_at, clock_timestamp() + coalesce("offset", interval '0')) from journal.clock
$$;
grant execute on function journal.domain_now() to :"service", :"reader";

create function journal.clock_moves_forward() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if new.held_at < old.held_at then
    raise exception 'the clock is held at % and moves only forward, not to %', old.held_at, new.held_at
      using errcode = 'BT003', hint = 'advance it to a later instant, or start on an empty state';
  end if;
  return new;
end $$;
create trigger forward before update on journal.clock for each row execute function journal.clock_moves_forward();
