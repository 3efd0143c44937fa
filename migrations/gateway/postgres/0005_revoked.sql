-- Whether the text is refused from now on, whatever anybody's clock says. `revoked_at` then only tells people when; without the flag it
-- is the end of a rotation's overlap.
ALTER TABLE token ADD COLUMN revoked BIGINT NOT NULL DEFAULT 0;
-- A rotation leaves a text that nobody revoked, so an id that has none was revoked itself.
UPDATE token SET revoked = 1 WHERE revoked_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM token AS newest WHERE newest.id = token.id AND newest.revoked_at IS NULL);
