-- How far each owner was heard, by the process that leads the listener: for the service's other processes.
create table journal.watermarks (
  owner text primary key,
  at timestamptz,                         -- everything of the owner up to then was heard …
  position bigint not null,               -- … by this position
  heard_at timestamptz not null,          -- when it last was not silent, by the clock of the database's machine
  parked bigint not null
) with (fillfactor = 50);
grant select, insert, update, delete on journal.watermarks to :"service";
