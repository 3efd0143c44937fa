-- One row per room and queue ('inbox' or 'outbox'): what is claimed is a room, so that its rows are worked in order.
-- `waiting` counts the rows that are still to be worked. A room can be claimed from `ready_at` on: the end of its back-off
-- or, with a `lease_token`, the end of its lease.
CREATE TABLE room_queue (
    queue TEXT NOT NULL,
    room_id TEXT NOT NULL,
    waiting BIGINT NOT NULL,
    ready_at BIGINT NOT NULL,
    lease_token TEXT,
    PRIMARY KEY (queue, room_id)
);
CREATE INDEX room_queue_ready ON room_queue (queue, ready_at) WHERE waiting > 0;

-- Events from the homeserver, by their `event_id`, for ever: a handled one stays as a row without `raw`, and is known when it comes again.
CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL,
    state TEXT NOT NULL, -- waiting, handled, quarantined
    raw TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    panics BIGINT NOT NULL DEFAULT 0,
    received_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX inbox_waiting ON inbox (room_id, seq) WHERE state = 'waiting';

-- What could not be read or handled, kept raw with the reason. `id` is the event id, or the digest of an event that has none.
CREATE TABLE quarantine (
    id TEXT PRIMARY KEY,
    room_id TEXT,
    raw TEXT NOT NULL,
    reason TEXT NOT NULL,
    quarantined_at BIGINT NOT NULL
);

-- Events to be sent. `txn_id` is unique over all users: a homeserver may take equal ids of two users for one event.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    txn_id TEXT NOT NULL UNIQUE,
    sender TEXT NOT NULL,
    room_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    content TEXT NOT NULL,
    replaces BIGINT, -- the row whose event this one edits
    state TEXT NOT NULL, -- waiting, delivered, failed
    event_id TEXT,
    reason TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    enqueued_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX outbox_waiting ON outbox (room_id, seq) WHERE state = 'waiting';

-- Our users on the homeserver. 'registering' is written before the homeserver is asked.
CREATE TABLE virtual_user (
    user_id TEXT PRIMARY KEY,
    state TEXT NOT NULL, -- registering, registered
    device_id TEXT NOT NULL,
    registered_at BIGINT
);

-- Who is joined. `changes` counts the membership events of a room, so that a list that was overtaken by one is not stored.
CREATE TABLE room_member (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE TABLE member_list (
    room_id TEXT PRIMARY KEY,
    loaded BIGINT NOT NULL,
    changes BIGINT NOT NULL
);
