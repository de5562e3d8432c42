-- What of other owners' topics was heard: the next offset to read, and the last sequence of the owner taken or passed
-- over in that partition. Written in the transaction that notes the records.
create table journal.offsets (
  topic text not null,
  partition int not null,
  topic_id text not null,                 -- a topic made anew has another id: its offsets start over
  next_offset bigint not null check (next_offset >= 0),
  epoch int not null,
  sequence bigint not null,
  primary key (topic, partition)
) with (fillfactor = 50);
grant select, insert, update, delete on journal.offsets to :"service";
