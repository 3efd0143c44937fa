-- Who is there: the manager and its workers.
CREATE TABLE agent (
    name TEXT PRIMARY KEY,
    -- Tells apart two workers that bore the same name, one after the other.
    id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    runtime TEXT NOT NULL,
    model TEXT NOT NULL,
    grant_name TEXT NOT NULL,
    -- creating | active | paused | removing
    state TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- 1 once the virtual user has its display name and avatar.
    dressed BIGINT NOT NULL DEFAULT 0,
    home_room TEXT,
    -- Where the answer to `!worker create` or `!worker remove` goes.
    reply_room TEXT,
    reply_thread TEXT,
    attempts BIGINT NOT NULL,
    retry_at BIGINT NOT NULL,
    trouble TEXT
);

-- One agent in one room or thread.
CREATE TABLE session (
    id TEXT PRIMARY KEY,
    -- The id of the agent: a name may pass to another one.
    agent TEXT NOT NULL,
    room_id TEXT NOT NULL,
    -- The event id of the thread's root; empty for the room itself.
    thread TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- 1 while there is something to do: an open turn, or input that no turn has taken.
    ready BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    lease_token TEXT,
    lease_until BIGINT NOT NULL,
    UNIQUE (agent, room_id, thread)
);
CREATE INDEX session_ready ON session (not_before) WHERE ready = 1;
CREATE INDEX session_room ON session (room_id);

-- What was said to an agent, and no turn has taken yet.
CREATE TABLE session_input (
    session_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    body TEXT NOT NULL,
    hops BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, event_id)
);

-- One reaction of an agent.
CREATE TABLE turn (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    -- open | done | stopped | failed
    state TEXT NOT NULL,
    -- 1 once somebody asked for the turn to be abandoned.
    stop_requested BIGINT NOT NULL,
    hops BIGINT NOT NULL,
    -- How often it was tried in vain.
    failures BIGINT NOT NULL,
    -- The outbox row of the message that is being written, if it was begun.
    live_outbox_id BIGINT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX turn_open ON turn (session_id) WHERE state = 'open';

-- The history of a session, and within it the journal of each turn: append only, in order.
CREATE TABLE session_entry (
    session_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    turn_id TEXT NOT NULL,
    -- input | model | tool_started | tool_result
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    -- Of an input: so that a redaction finds it.
    event_id TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, seq)
);
CREATE INDEX session_entry_event ON session_entry (event_id) WHERE event_id IS NOT NULL;

-- How often agents woke agents in a room since a human last spoke there.
CREATE TABLE agent_wakes (
    room_id TEXT PRIMARY KEY,
    wakes BIGINT NOT NULL
);
