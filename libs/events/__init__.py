"""The kernel: one journal per service; everything else is derived from journals, and can be derived again.

What a service is written with, each in the module of its concept:

    entries      Fact, Entry, Instant, entity_id, stream_id, derived_id     what is on record, and its identities
    contract     Contract, Kind                                             what an owner says, by name and version
    deciding     Command, Asked, Decider, Handle                            (state, command, asked) → facts or a refusal
    errors       Refusal, Forbidden, NotFound                               … and everything else that may go wrong
    instants     Written                                                    an instant, as others write it
    views        View, on, Look                                             read models as folds by key; how to look
    reactions    Reaction                                                   (fact, entry, look) → commands
    timers       Timer                                                      a row that is due → a command
    service      Service                                                    all of this, declared
    testing      given, MemoryService, look_of, instant                     the same without I/O

The machinery behind it, in the order in which a fact passes through; a service does not call it:

    handling     loads, decides, appends, retries         looking      rows for pure code, all of one position
    journal      appends, hears, reads                    appends, writer, hearing, line, wake, ahead, schema, sql/
    publisher    journal → topic, in order                published, wire, broker
    heads        what is still to come, and what not      leading      one process per role
    listener     topics → journal                         receiving, term, fetching, judging, desk
    parking      what could not be taken, and its way on  parked, releasing;   inbound: foreign events
    projector    journal → views and their past           folding, tables;     reading: queries, as of any instant
    rebuilding   a view anew beside the live one          reactor, timekeeper, clock, tracing, compatibility
"""
