-- Who may what. Schema `journal` belongs to the owner role, which nobody runs as; the service role calls its functions.
-- Schema `views` belongs to the service role; the reader role sees what stands in it, under row-level security.
alter default privileges revoke execute on functions from public;
grant usage on schema journal to :"service", :"reader";

create schema if not exists views authorization :"service";
alter default privileges for role :"service" in schema views grant select on tables to :"reader";
set local role :"service";
grant usage on schema views to :"reader";
