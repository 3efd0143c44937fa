-- A request that waits, or has waited, for a human. Its body is not here: the summary has a few short fields of it, masked.
CREATE TABLE approval (
    id TEXT NOT NULL PRIMARY KEY,
    consumer TEXT NOT NULL,
    token_id TEXT NOT NULL,
    effects TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    upstream TEXT NOT NULL,
    summary TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    answered_by TEXT,
    answered_at BIGINT,
    reason TEXT,
    -- The process that holds the request, until it has taken notice of how the waiting ended.
    holder TEXT,
    -- The holder renews it; past it, nobody waits for the answer any more.
    lease_until BIGINT NOT NULL
);
CREATE INDEX approval_held ON approval (holder) WHERE holder IS NOT NULL;
CREATE INDEX approval_open ON approval (consumer) WHERE state = 'open';
CREATE INDEX approval_by_time ON approval (created_at);
