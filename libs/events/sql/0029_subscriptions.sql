-- A type that nobody listens to for a while, since an older process led that does not need it, keeps its `since`: what
-- was said meanwhile is read again and heard as if nothing had been. (Dropped, it would have come back as backfilled, and
-- no reaction would have seen it.)
alter table journal.subscriptions
  add column listened_from timestamptz,  -- to now, without a pause; null: nobody listens
  add column paused_at timestamptz;
update journal.subscriptions set listened_from = since;
revoke delete on journal.subscriptions from :"service";
grant update (since, listened_from, paused_at) on journal.subscriptions to :"service";
