-- A consumer token. Rotation adds a row with the same public id, so the key is the digest.
CREATE TABLE token (
    digest BYTEA NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    grants TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX token_by_id ON token (id);
CREATE INDEX token_by_consumer ON token (consumer);
-- What the watch over open streams asks for, twice in a second.
CREATE INDEX token_revoked ON token (expires_at) WHERE revoked_at IS NOT NULL;

-- A real credential, sealed under the master key and bound to this table, its row and its column.
CREATE TABLE secret (
    name TEXT NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- One row for every request to the consumer listener; never a body, a query or a token.
CREATE TABLE audit (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    consumer TEXT,
    token_id TEXT,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    model TEXT,
    upstream TEXT,
    decision TEXT NOT NULL,
    reason TEXT,
    status BIGINT NOT NULL,
    ending TEXT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    latency_ms BIGINT NOT NULL
);
CREATE INDEX audit_by_consumer ON audit (consumer, seq);
CREATE INDEX audit_by_time ON audit (at);
