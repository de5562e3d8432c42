-- The journal's epoch (a restored journal opens a new one) and the last announced instant: nothing is ever noted at or
-- before an announced instant, even when the machine's clock steps back.
create table journal.mark (
  one boolean primary key default true check (one),
  epoch int not null default 1 check (epoch > 0),
  announced_at timestamptz not null default '-infinity'
) with (fillfactor = 50);
insert into journal.mark default values;
grant select on journal.mark to :"service";

-- One at a time, until the end of the transaction. It must be a statement of its own: inside the statement that reads
-- the journal, the snapshot would be older than the lock. The number is arbitrary; locks are per database.
create function journal.lock() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the journal is written under READ COMMITTED only, not %', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state', hint = 'call the function by itself, outside of a transaction';
  end if;
  perform set_config('synchronous_commit', 'on', true);
  perform pg_advisory_xact_lock(7263541);
end $$;
