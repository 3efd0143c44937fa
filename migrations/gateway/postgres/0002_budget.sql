-- What a consumer has used under a grant. Money is in picodollars. Counts of another day than `day` are over.
CREATE TABLE budget (
    consumer TEXT NOT NULL,
    grant_name TEXT NOT NULL,
    day BIGINT NOT NULL,
    tokens_today BIGINT NOT NULL,
    picodollars_today BIGINT NOT NULL,
    tokens_total BIGINT NOT NULL,
    picodollars_total BIGINT NOT NULL,
    -- What running requests may use: the sum over budget_hold.
    tokens_held BIGINT NOT NULL,
    picodollars_held BIGINT NOT NULL,
    -- Requests of the last minute, as JSON: [[second, count], …].
    recent TEXT NOT NULL,
    PRIMARY KEY (consumer, grant_name)
);

-- A process that holds budget for running requests. `batch` numbers what it wrote, so that nothing is written twice.
CREATE TABLE budget_lease (
    id TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL,
    batch BIGINT NOT NULL
);

-- What the running requests of one process may use, and what they are charged if that process is never heard of again.
CREATE TABLE budget_hold (
    lease TEXT NOT NULL,
    consumer TEXT NOT NULL,
    grant_name TEXT NOT NULL,
    tokens BIGINT NOT NULL,
    picodollars BIGINT NOT NULL,
    tokens_if_lost BIGINT NOT NULL,
    picodollars_if_lost BIGINT NOT NULL,
    PRIMARY KEY (lease, consumer, grant_name)
);
