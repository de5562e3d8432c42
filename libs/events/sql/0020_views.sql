-- How far each view and the reactions have come; written in the same transaction as what they produced.
set local role :"service";

create table views.checkpoint (
  name text primary key,          -- a table of views, or `reactions`
  position bigint not null,
  updated_at timestamptz not null default clock_timestamp()
);

-- A reaction acts on entries after its start: a new one does not act on years past.
create table views.reaction (
  name text primary key,
  start_position bigint not null
);
