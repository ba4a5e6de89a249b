-- +goose Up
-- The log was handed over: nothing is appended until another domain takes it up.
ALTER TABLE head ADD COLUMN closed BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE head DROP COLUMN closed;
