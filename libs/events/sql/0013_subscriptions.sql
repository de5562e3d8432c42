-- Since when this service listens for a type (`owner.*`: everything of that owner). What was recorded before is heard
-- as backfilled.
create table journal.subscriptions (
  type text primary key,
  topic text not null,
  since timestamptz not null
);
grant select, insert, delete on journal.subscriptions to :"service";
