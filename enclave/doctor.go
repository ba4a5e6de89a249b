package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Severity is how much a diagnosis matters.
type Severity string

// The severities, in order.
const (
	Fine    Severity = "ok"
	Warning Severity = "warning" // serves, and will not for ever, or not well
	Fault   Severity = "fault"   // does not serve, or not safely
)

// Check names what was looked at.
type Check string

// The checks. Numbers says what each diagnosis has in Diagnosis.Numbers.
const (
	CheckConfig      Check = "config"          //
	CheckFolder      Check = "folder"          // mode bits
	CheckDisk        Check = "disk"            // bytes free where the domain lies, bytes that publishing its largest table again takes
	CheckKeyring     Check = "keyring"         //
	CheckVault       Check = "vault-server"    // seconds until its token ends, -1: it does not; seconds that the server's clock is ahead. Subject: its version
	CheckDatabase    Check = "database"        // entries, bytes (SQLite; else 0)
	CheckServer      Check = "database-server" // Cause: how the database's server is set up otherwise than it should be
	CheckIntegrity   Check = "integrity"       // findings of the check of everything, with deep
	CheckCheckpoint  Check = "checkpoint"      // tree size
	CheckClock       Check = "clock"           // nanoseconds that the newest entry lies in the future
	CheckTime        Check = "time"            // 1: the system says that its clock is synchronised
	CheckCertificate Check = "certificate"     // whole days left
	CheckTable       Check = "table"           // bytes of the file, records
	CheckMemory      Check = "memory"          // bytes available, bytes of the tables served
	CheckFiles       Check = "files"           // files that a process may open
	CheckProcessor   Check = "processor"       // processors; Subject: the kernel chosen, and the processor's features
	CheckProduct     Check = "product"         //
)

// Diagnosis is what one check found. What to do about it is the reader's
// language's business: Check and Severity together say which advice it is.
type Diagnosis struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject,omitempty"` // which file, certificate, product, kernel
	Numbers  []int64  `json:"numbers,omitempty"`
	Cause    string   `json:"cause,omitempty"` // of a fault: the error; of advice: all of it
}

// doctor gathers diagnoses.
type doctor struct {
	found []Diagnosis
	deep  bool
}

func (d *doctor) find(c Check, s Severity, subject string, numbers ...int64) {
	d.found = append(d.found, Diagnosis{Check: c, Severity: s, Subject: subject, Numbers: numbers})
}

func (d *doctor) fail(c Check, subject string, err error) {
	d.found = append(d.found, Diagnosis{Check: c, Severity: Fault, Subject: subject, Cause: err.Error()})
}

// Examine looks a domain over, without changing it but for what opening it
// mends, and without an entry. What one check cannot do for want of another is
// left out: a domain whose keyring does not open has its log looked at still.
// With deep everything is read: every entry, every table.
func Examine(ctx context.Context, dir string, unlock keyring.Unlock, o Options, deep bool) []Diagnosis {
	e := &doctor{deep: deep}
	e.processor()
	config, err := readConfig(dir)
	if err != nil {
		e.fail(CheckConfig, filepath.Join(dir, ConfigFile), err)
		return e.found
	}
	e.find(CheckConfig, Fine, filepath.Join(dir, ConfigFile))
	e.folder(dir)
	d, err := Open(ctx, dir, unlock, o)
	if err == nil {
		e.find(CheckKeyring, Fine, config.Keyring.place())
		e.vault(ctx, d)
		e.domain(ctx, d)
		if err := d.Close(); err != nil {
			e.fail(CheckDatabase, databaseKind(config), err)
		}
		return e.found
	}
	log, logErr := OpenLog(ctx, dir)
	if logErr != nil {
		e.fail(CheckDatabase, databaseKind(config), logErr)
		if err.Error() != logErr.Error() {
			e.fail(CheckKeyring, config.Keyring.place(), err)
		}
		return e.found
	}
	defer log.Close()
	e.find(CheckDatabase, Fine, databaseKind(config), log.size, databaseBytes(dir, config))
	// The log can be read and the domain does not open: keys, or the mark.
	if errors.Is(err, state.ErrBelowMark) || errors.Is(err, state.ErrForked) {
		e.fail(CheckIntegrity, databaseKind(config), err)
	} else {
		e.fail(CheckKeyring, config.Keyring.place(), err)
	}
	return e.found
}

func databaseKind(c *Config) string {
	kind, _, _ := strings.Cut(c.Database, ":") // the rest may hold a password
	return kind
}

func databaseBytes(dir string, c *Config) int64 {
	path, ok := strings.CutPrefix(databaseIn(dir, c.Database), "sqlite:")
	if !ok {
		return 0
	}
	total := int64(0)
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			total += info.Size()
		}
	}
	return total
}

// folder looks at who may read the domain's folder.
func (e *doctor) folder(dir string) {
	info, err := os.Stat(dir)
	if err != nil {
		e.fail(CheckFolder, dir, err)
		return
	}
	severity := Fine
	if info.Mode().Perm()&0o077 != 0 {
		severity = Warning
	}
	e.find(CheckFolder, severity, dir, int64(info.Mode().Perm()))
}

func (e *doctor) processor() {
	name, cores := lookup.Kernel()
	e.find(CheckProcessor, Fine, strings.Join(append([]string{name}, features()...), " "), int64(cores))
	if files, ok := openFiles(); ok {
		severity := Fine
		if files < 1024 {
			severity = Warning
		}
		e.find(CheckFiles, severity, "", files)
	}
}

// soon is when the end of a token that nobody renews is near enough to be told.
const soon = 24 * time.Hour

// vault asks a keyring's server how it is, and for how long it will let this
// domain in. A login by credentials is made anew by itself, a token is not.
func (e *doctor) vault(ctx context.Context, d *Domain) {
	v, ok := d.ring.(*keyring.Vault)
	if !ok {
		return
	}
	asked := time.Now()
	state, err := v.State(ctx)
	if err != nil {
		e.fail(CheckVault, d.config.Keyring.place(), err)
		return
	}
	severity, left := Fine, int64(-1)
	if !state.TokenEnds.IsZero() {
		left = int64(state.TokenEnds.Sub(asked) / time.Second)
	}
	ends := d.config.Keyring.Vault.Auth.Method == keyring.VaultToken && !state.Renewable && left >= 0
	if ends && left < int64(soon/time.Second) || state.Skew.Abs() > 2*slack {
		severity = Warning
	}
	e.find(CheckVault, severity, state.Version, left, int64(state.Skew/time.Second))
}

// features are those of the processor that kernels are written for.
func features() []string {
	var has []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", cpu.X86.HasAVX2}, {"avx512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ},
		{"avx512-vnni", cpu.X86.HasAVX512VNNI}, {"avx512-ifma", cpu.X86.HasAVX512IFMA},
	} {
		if f.has {
			has = append(has, f.name)
		}
	}
	return has
}

// domain looks over one that opens.
func (e *doctor) domain(ctx context.Context, d *Domain) {
	e.database(ctx, d)
	e.clock(ctx, d)
	e.certificates(d)
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		e.fail(CheckDatabase, databaseKind(d.config), err)
		return
	}
	e.products(s.World)
	e.tables(ctx, d, s)
}

func (e *doctor) database(ctx context.Context, d *Domain) {
	kind := databaseKind(d.config)
	msg, tree, err := d.store.Checkpoint(ctx)
	if err != nil {
		e.fail(CheckCheckpoint, d.Origin(), err)
		return
	}
	e.find(CheckDatabase, Fine, kind, tree.N, databaseBytes(d.dir, d.config))
	e.server(ctx, d)
	w, err := d.World(ctx) // after the checkpoint, so that it knows its key
	if err == nil {
		_, err = w.LogKeys().Checkpoint(msg)
	}
	if err != nil {
		e.fail(CheckCheckpoint, d.Origin(), err)
		return
	}
	e.find(CheckCheckpoint, Fine, d.Origin(), tree.N)
	if !e.deep {
		return
	}
	report, err := d.store.Check(ctx, nil)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		e.fail(CheckIntegrity, kind, err)
		return
	}
	e.find(CheckIntegrity, Fine, kind, 0)
}

// server passes on what the database's server is advised to change.
func (e *doctor) server(ctx context.Context, d *Domain) {
	advice, err := d.InspectDatabase(ctx)
	if err != nil {
		e.fail(CheckServer, databaseKind(d.config), err)
		return
	}
	for _, a := range advice {
		e.fail(CheckServer, a.ID, fmt.Errorf("the database has %s, it should have %s: %s", a.Set, a.Want, a.Why))
		if !a.Refuse {
			e.found[len(e.found)-1].Severity = Warning
		}
	}
}

// slack is how far behind the newest entry a clock may be without being wrong:
// processes on several machines settle.
const slack = 2 * time.Second

func (e *doctor) clock(ctx context.Context, d *Domain) {
	size, err := d.store.Size(ctx)
	if err != nil || size == 0 {
		return // said by the database's check
	}
	raw, _, err := d.store.Record(ctx, size-1)
	if err != nil {
		e.fail(CheckDatabase, databaseKind(d.config), err)
		return
	}
	newest, err := ledger.Decode(raw)
	if err != nil {
		e.fail(CheckDatabase, databaseKind(d.config), err)
		return
	}
	ahead := newest.Time.Sub(d.clock())
	severity := Fine
	if ahead > slack {
		severity = Fault
	}
	e.find(CheckClock, severity, "", max(0, int64(ahead)))
	if synchronised, ok := clockSynchronised(); ok && !synchronised {
		e.find(CheckTime, Warning, "", 0)
	} else if ok {
		e.find(CheckTime, Fine, "", 1)
	}
}

// fewDays is when a certificate's end is near enough to be told.
const fewDays = 30

func (e *doctor) certificates(d *Domain) {
	for _, name := range []string{"server.pem", "operator.pem"} {
		path := filepath.Join(d.dir, certsDir, name)
		cert, err := readCertificate(path)
		if err != nil {
			e.fail(CheckCertificate, filepath.Join(certsDir, name), err)
			continue
		}
		e.days(filepath.Join(certsDir, name), cert.NotAfter, d.clock())
	}
	cert, err := readCertificate(filepath.Join(d.dir, caFile))
	if err != nil {
		e.fail(CheckCertificate, caFile, err)
		return
	}
	e.days(caFile, cert.NotAfter, d.clock())
}

func (e *doctor) days(name string, end, now time.Time) {
	left := end.Sub(now)
	severity := Fine
	switch {
	case left <= 0:
		severity = Fault
	case left < fewDays*24*time.Hour:
		severity = Warning
	}
	e.find(CheckCertificate, severity, name, int64(left/(24*time.Hour)))
}

// products tells what state each product is in. A draft is one on purpose; a
// suspended product is meant to come back.
func (e *doctor) products(w *admission.World) {
	for _, held := range w.Catalogue().Products() {
		_, status, _ := w.Product(held.Doc.ID)
		severity := Fine
		if status == admission.StatusSuspended {
			severity = Warning
		}
		e.find(CheckProduct, severity, held.Doc.ID+" "+string(status))
	}
}

// tables looks at the files that are served from, and at what they take.
func (e *doctor) tables(ctx context.Context, d *Domain, s *world.Snapshot) {
	served, largest := int64(0), int64(0)
	for v, current := range d.kept(s) {
		path := d.operandPath(v)
		name := filepath.Join(tablesDir, filepath.Base(path))
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("it is not there: entry %d published it", v.Seq)
		}
		if err == nil && e.deep {
			err = d.openOperand(ctx, v)
		}
		if err != nil {
			e.fail(CheckTable, name, err)
			continue
		}
		if !current {
			continue // it takes no memory
		}
		served, largest = served+info.Size(), max(largest, info.Size())
		e.find(CheckTable, Fine, name, info.Size(), population(v))
	}
	if available, ok := memoryAvailable(); ok {
		severity := Fine
		if available < served {
			severity = Warning
		}
		e.find(CheckMemory, severity, "", available, served)
	}
	if free, ok := diskFree(d.dir); ok {
		severity := Fine
		switch need := max(largest, minFree); {
		case free < need/4:
			severity = Fault
		case free < 2*need:
			severity = Warning
		}
		e.find(CheckDisk, severity, d.dir, free, largest)
	}
}

// minFree is what a domain should have free whatever its tables are: the log
// grows by about 2 KB a call.
const minFree = 1 << 30

// population is how many records or cells a version has.
func population(v world.Version) int64 {
	if v.Cells != nil {
		return int64(v.Cells.Cells)
	}
	return v.Lookup.Population
}
