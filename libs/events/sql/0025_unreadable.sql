-- Heard entries that no contract here can read: folded into nothing, and said so until the view was rebuilt with them.
set local role :"service";

create table views.unreadable (
  name text not null,             -- the table of views that lacks it
  position bigint not null,
  reason text not null,
  primary key (name, position)
);
revoke select on views.unreadable from :"reader";
