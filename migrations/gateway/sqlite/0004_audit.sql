-- What a request would have done, which human approved it, which grant paid for it, what it cost in picodollars, and how much of its prompt was cached.
ALTER TABLE audit ADD COLUMN effects TEXT;
ALTER TABLE audit ADD COLUMN approved_by TEXT;
ALTER TABLE audit ADD COLUMN grant_name TEXT;
ALTER TABLE audit ADD COLUMN picodollars BIGINT;
ALTER TABLE audit ADD COLUMN cached_tokens BIGINT;

-- The log is read by time, the newest first, of everyone or of one consumer.
DROP INDEX audit_by_consumer;
DROP INDEX audit_by_time;
CREATE INDEX audit_by_consumer ON audit (consumer, at, seq);
CREATE INDEX audit_by_time ON audit (at, seq);
