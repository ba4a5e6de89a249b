package state

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Advice says how a database is set up otherwise than this package needs it.
type Advice struct {
	ID     string // does not change: "postgres-fsync"
	Set    string // what is set
	Want   string // what it should be
	Why    string
	Refuse bool // what is acknowledged could be lost: do not serve
}

// String is the advice on a line.
func (a Advice) String() string {
	return fmt.Sprintf("%s: the database has %s, it should have %s: %s", a.ID, a.Set, a.Want, a.Why)
}

// Oldest PostgreSQL that is tested with.
const oldestPostgres = 130000

// Inspect looks at how the database is set up, as far as a client can see it. An
// SQLite file is set up by this package itself. What no client can see is said
// in the package's documentation.
func (s *Store) Inspect(ctx context.Context) ([]Advice, error) {
	d, ok := s.d.(*postgres)
	if !ok {
		return nil, nil
	}
	seen, err := d.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspecting the database: %w", err)
	}
	return append(adviseServer(seen), d.adviseConnection()...), nil
}

// server is what a client sees of a PostgreSQL server.
type server struct {
	settings    map[string]string // of a session that sets nothing itself
	recovering  bool
	free        int // connections that this role could still open; -1: any number
	synchronous int // standbys that are confirmed to be synchronous now; -1: may not be seen
}

func (d *postgres) look(ctx context.Context) (_ *server, err error) {
	db, err := d.open(useMigrate)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	seen := &server{settings: map[string]string{}}
	rows, err := db.QueryContext(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit',
		'synchronous_standby_names', 'server_version_num', 'server_version', 'default_transaction_isolation', 'max_connections')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, setting string
		if err := rows.Scan(&name, &setting); err != nil {
			return nil, err
		}
		seen.settings[name] = setting
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	row := db.QueryRowContext(ctx, `SELECT pg_is_in_recovery(),
		LEAST(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
			CASE WHEN r.rolconnlimit < 0 THEN 2147483647 ELSE r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user) END),
		(SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
		FROM pg_roles r WHERE r.rolname = current_user`)
	return seen, row.Scan(&seen.recovering, &seen.free, &seen.synchronous)
}

func adviseServer(s *server) []Advice {
	var out []Advice
	say := func(bad, refuse bool, id, set, want, why string) {
		if bad {
			out = append(out, Advice{ID: id, Set: set, Want: want, Why: why, Refuse: refuse})
		}
	}
	set := func(name string) string { return name + " = " + s.settings[name] }
	commit, standbys := s.settings["synchronous_commit"], s.settings["synchronous_standby_names"]
	say(s.recovering, true, "postgres-standby", "pg_is_in_recovery() = true", "the primary's address",
		"it is a standby: nothing can be settled on it, and what it shows may be old")
	say(s.settings["fsync"] == "off", true, "postgres-fsync", set("fsync"), "fsync = on",
		"a crash of the machine loses or corrupts entries that were acknowledged")
	say(commit == "off", true, "postgres-synchronous-commit", set("synchronous_commit"), "synchronous_commit = on or remote_apply",
		"a crash of the server loses entries that were acknowledged")
	say(s.settings["full_page_writes"] == "off", false, "postgres-full-page-writes", set("full_page_writes"), "full_page_writes = on",
		"a crash in the middle of a page's write corrupts it, unless the file system writes pages whole")
	say(standbys == "", false, "postgres-no-synchronous-standby", "synchronous_standby_names = ''", "a quorum such as ANY 1 (a, b)",
		"if this server is lost, entries since the last backup are: no standby is sure to have them, and none may be promoted")
	say(standbys != "" && (commit == "local" || commit == "remote_write"), false, "postgres-standby-not-waited-for", set("synchronous_commit"), "synchronous_commit = on or remote_apply",
		"a commit does not wait until a standby has it on disk: a promoted standby may lack entries that were acknowledged")
	say(standbys != "" && !s.recovering && s.synchronous == 0, false, "postgres-standby-missing", "no synchronous standby connected, or none that this role may see", "one of "+standbys+" connected",
		"commits wait until one is")
	version, _ := strconv.Atoi(s.settings["server_version_num"]) // the server's own number
	say(version < oldestPostgres, false, "postgres-version", "version "+s.settings["server_version"], fmt.Sprintf("version %d or newer", oldestPostgres/10000),
		"older servers have not been tested and get no security fixes")
	isolation := s.settings["default_transaction_isolation"]
	say(isolation != "read committed", false, "postgres-isolation", "default_transaction_isolation = "+isolation, "read committed",
		"settlement sets its own, and reads only become slower and are retried more often by another")
	say(s.free >= 0 && s.free < connections, false, "postgres-connections", fmt.Sprintf("%d connections left for this role", s.free), fmt.Sprintf("%d for every process", connections),
		"a process that starts beside this one would wait for connections")
	return out
}

// adviseConnection looks at how the server is reached.
func (d *postgres) adviseConnection() []Advice {
	plain, unchecked := false, false
	look := func(host string, encrypted, checked bool) {
		if isLoopback(host) {
			return
		}
		plain = plain || !encrypted
		unchecked = unchecked || !checked
	}
	c := d.cfg
	look(c.Host, c.TLSConfig != nil, c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify)
	for _, f := range c.Fallbacks {
		look(f.Host, f.TLSConfig != nil, f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify)
	}
	const want = "sslmode=verify-full"
	switch {
	case plain:
		return []Advice{{ID: "postgres-tls", Set: "a connection over the network that need not be encrypted", Want: want,
			Why: "whoever is on the way reads the ledger and the password, and can alter what is settled"}}
	case unchecked:
		return []Advice{{ID: "postgres-tls", Set: "a server certificate that is not checked", Want: want,
			Why: "whoever is on the way can pretend to be the server"}}
	}
	return nil
}

// isLoopback tells whether a host is this machine: a socket's folder, or an
// address that leaves it never.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}
