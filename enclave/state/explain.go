package state

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// SQLite's primary result codes, and PostgreSQL's.
const (
	sqliteReadOnly = 8
	sqliteIO       = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteNotDB    = 26

	postgresReadOnly = "25006"
	postgresDiskFull = "53100"
	postgresIO       = "58030"
	postgresData     = "XX001" // data corrupted
	postgresIndex    = "XX002"
)

func (d *sqliteFile) explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqliteFull:
		return fmt.Errorf("%w: the disk of %s is full: make room and try again: %w", ErrDisk, d.path, err)
	case sqliteIO:
		return fmt.Errorf("%w: the disk of %s gives errors: see what the system says of it before going on: %w", ErrDisk, d.path, err)
	case sqliteReadOnly, sqliteCantOpen:
		return fmt.Errorf("%w: %s, or its folder, is not this user's to write, or its disk is read-only: run it as the user that owns the domain's folder, or see to the disk: %w", ErrDisk, d.path, err)
	case sqliteCorrupt, sqliteNotDB:
		return fmt.Errorf("%w: %s is damaged: keep it as it is and restore a backup: %w", ErrCorrupt, d.path, err)
	}
	return err
}

func (d *postgres) explain(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case postgresDiskFull:
		return fmt.Errorf("%w: the database server's disk is full: make room there and try again: %w", ErrDisk, err)
	case postgresIO:
		return fmt.Errorf("%w: the database server's disk gives errors: see what its system says of it before going on: %w", ErrDisk, err)
	case postgresReadOnly:
		return fmt.Errorf("%w: the database server writes nothing: it is a standby or set to read-only: give the primary's address: %w", ErrDisk, err)
	case postgresData, postgresIndex:
		return fmt.Errorf("%w: the database server's files are damaged: keep them as they are and restore a backup: %w", ErrCorrupt, err)
	}
	return err
}
