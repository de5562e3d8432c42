-- Who works at a role of which there must be one at a time (publisher, listener, inbound). The session advisory lock
-- says who leads; the term fences off a former leader that has not noticed yet that it lost the lock.
create table journal.leaders (
  role text primary key,
  term bigint not null check (term > 0),
  since timestamptz not null default clock_timestamp()
);
grant select on journal.leaders to :"service";
create sequence journal.terms;               -- one for all roles: a term also tells the role

-- A new term for whoever just took the role's lock.
create function journal.lead(role text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  insert into journal.leaders as l (role, term) values (lead.role, nextval('journal.terms'))
  on conflict on constraint leaders_pkey do update set term = excluded.term, since = clock_timestamp()
  returning l.term
$$;
grant execute on function journal.lead(text) to :"service";
