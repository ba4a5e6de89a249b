-- +goose Up
-- The verifier key that signs the tree, so that whoever settles learns it under
-- the lock; nothing for the log's first key.
ALTER TABLE head ADD COLUMN signer TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE head DROP COLUMN signer;
