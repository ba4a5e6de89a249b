package faults

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// A verb is what is broken. Every time it is to do something new, so that it
// writes; and done again, nothing that was done already.
type verb struct {
	name string
	// every is how many points apart make check breaks it.
	every int
	// prepare readies the round-th time, in the test's process.
	prepare func(b *bed, p *plan)
	// do does it, in the process that is broken or to repeat it.
	do func(ctx context.Context, p *plan) error
}

var verbs = []verb{
	{"settle", 1, (*bed).jobs, settle},
	{"apply", 3, (*bed).manifest, inDomain(func(ctx context.Context, d *enclave.Domain, p *plan) error {
		docs, err := vocabulary.Parse("list.yaml", p.Text)
		if err != nil {
			return err
		}
		_, err = d.Apply(ctx, docs, nil, false)
		return err
	})},
	{"import", 5, (*bed).data, inDomain(func(ctx context.Context, d *enclave.Domain, p *plan) error {
		_, err := d.Import(ctx, "licences", p.File, nil)
		return err
	})},
	{"publish", 7, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.Publish(ctx, "sector", enclave.PublishOptions{})
		return err
	})},
	{"publish a new epoch", 11, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.Publish(ctx, "holder", enclave.PublishOptions{NewEpoch: true})
		return err
	})},
	{"rotate certificate", 5, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.RotateCertificates(ctx)
		return err
	})},
	{"rotate wrapping", 9, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.RotateWrapping(ctx, true)
		return err
	})},
	{"rotate columns", 19, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.RotateColumns(ctx, "licences", nil)
		return err
	})},
	{"rotate oprf", 13, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.RotateOPRF(ctx, "holder", nil)
		return err
	})},
	{"rotate ledger", 5, nil, inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.RotateLedger(ctx)
		return err
	})},
	{"shred column", 11, (*bed).spare, inDomain(func(ctx context.Context, d *enclave.Domain, p *plan) error {
		_, err := d.ShredColumn(ctx, p.Resource, "secret", enclave.ShredOptions{})
		return err
	})},
	{"shred epoch", 5, (*bed).ended, inDomain(func(ctx context.Context, d *enclave.Domain, p *plan) error {
		_, err := d.ShredEpoch(ctx, "holder", p.Epoch, enclave.ShredOptions{})
		return err
	})},
	{"backup", 211, (*bed).backupName, inDomain(func(ctx context.Context, d *enclave.Domain, p *plan) error {
		if _, err := os.Stat(p.File); err == nil {
			return nil // with its name, it is whole
		}
		return backup(ctx, d, p.File)
	})},
	{"restore", 211, (*bed).backup, restore},
	{"init", 9, (*bed).empty, initialise},
}

// plan is one time of a verb: what its process is told.
type plan struct {
	Verb     string
	Round    int
	Dir      string
	Database string // of a domain to be made
	Now      time.Time
	Call     int64 // the process dies when it passes this beginning or end of a database call; 0: it lives
	Text     []byte
	File     string
	Mark     string
	Resource string // whose column goes
	Epoch    int    // that goes
	Again    bool   // every transaction is given up once, and runs again
	Who      string
	Requests []request
	say      func(job string)
	Keys     [2]ed25519.PublicKey // the authorising body's, the pricing authority's
}

type request struct {
	Job                        string
	Header, Signature, Blinded []byte
}

var unlock = keyring.Passphrase([]byte("correct horse"))

func (p *plan) clock() time.Time { return p.Now }

func (p *plan) open(ctx context.Context) (*enclave.Domain, error) {
	return enclave.Open(ctx, p.Dir, unlock, enclave.Options{Clock: p.clock})
}

// inDomain is a verb of a domain that is there.
func inDomain(do func(ctx context.Context, d *enclave.Domain, p *plan) error) func(context.Context, *plan) error {
	return func(ctx context.Context, p *plan) error {
		d, err := p.open(ctx)
		if err != nil {
			return err
		}
		return errors.Join(do(ctx, d, p), d.Close())
	}
}

// settle has jobs answered, and says which are.
func settle(ctx context.Context, p *plan) error {
	return inDomain(func(ctx context.Context, d *enclave.Domain, p *plan) error {
		g, err := d.Gateway(ctx)
		if err != nil {
			return err
		}
		for _, r := range p.Requests {
			_, err := g.Evaluate(ctx, vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: p.Who},
				&pb.EvaluateRequest{Header: r.Header, Signature: r.Signature, Blinded: r.Blinded})
			if err != nil {
				return errors.Join(err, g.Close())
			}
			p.say(r.Job)
		}
		return g.Close()
	})(ctx, p)
}

// initialise makes a domain; one that is there already was made.
func initialise(ctx context.Context, p *plan) error {
	o := enclavetest.InitOptions(p.clock, p.Keys[0], p.Keys[1])
	o.Database = p.Database
	d, err := enclave.Init(ctx, p.Dir, o)
	if errors.Is(err, enclave.ErrExists) {
		return inDomain(func(context.Context, *enclave.Domain, *plan) error { return nil })(ctx, p)
	}
	if err != nil {
		return err
	}
	return d.Close()
}

func backup(ctx context.Context, d *enclave.Domain, path string) error {
	_, err := d.Backup(ctx, path, enclave.BackupOptions{Passphrase: []byte("correct horse"), InsecureTestLogN: 4})
	return err
}

// restore makes a domain again from a backup and the mark of the one that was
// lost.
func restore(ctx context.Context, p *plan) error {
	if _, err := os.Stat(filepath.Join(p.Dir, enclave.ConfigFile)); err == nil {
		return inDomain(func(context.Context, *enclave.Domain, *plan) error { return nil })(ctx, p)
	}
	_, err := enclave.Restore(ctx, p.File, p.Dir, enclave.RestoreOptions{
		Unlock:     func() (keyring.Unlock, error) { return unlock, nil },
		Passphrase: []byte("correct horse"), Database: p.Database, Mark: p.Mark, Clock: p.clock,
	})
	return err
}

// bed is the domain that verbs are done in, one after another.
type bed struct {
	t          *testing.T
	d          *enclavetest.Domain
	e          *enclavetest.Enterprise
	blinded    []byte
	database   func() string // an empty one
	acked      map[string]bool
	dirOfInits string

	// Of a test that runs verbs as another user; else this binary and folders
	// of its own.
	binary, plans string
}

// newBed makes a domain with quotas that last, and closes it: every process
// opens it anew.
func newBed(t *testing.T, database func() string) *bed {
	t.Helper()
	d, e := enclavetest.StandardOn(t, database())
	d.MustApply(fmt.Sprintf(grant, e.Code))
	d.MustPublish("sector", false)
	d.MustPublish("holder", false)
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{t: t, d: d, e: e, blinded: blinded, database: database, acked: map[string]bool{}, dirOfInits: t.TempDir()}
}

const grant = `kind: Grant
id: faults
title: {en: Enough for a day of faults}
enterprise: %s
products: [sector]
purposes: [industry]
from: 2026-01-01
until: 2030-12-31
quotas:
  - {unit: subjects, per: term, limit: 1000000}
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
`

// plan readies the next time of a verb.
func (b *bed) plan(v *verb, round int) *plan {
	b.d.Clock.Advance(12 * time.Hour) // a share of the population is bounded by the month
	p := &plan{Verb: v.name, Round: round, Dir: b.d.Dir, Now: b.d.Clock.Now(), Who: b.e.Code,
		Keys: [2]ed25519.PublicKey{b.d.Authoriser.Public().(ed25519.PublicKey), b.d.Authority.Public().(ed25519.PublicKey)}}
	if v.prepare != nil {
		v.prepare(b, p)
	}
	return p
}

func (b *bed) jobs(p *plan) {
	for range 2 {
		h := b.d.Header(b.e.Code, "sector", "industry", 1, 1)
		r := enclavetest.Sign(b.t, b.e.Signing, h, b.blinded)
		p.Requests = append(p.Requests, request{h.Job, r.Header, r.Signature, r.Blinded})
	}
}

func (b *bed) manifest(p *plan) {
	p.Text = fmt.Appendf(nil, "kind: NegativeList\nid: faults\ntitle: {en: List %d}\ncategories: [secrets-%d]\n", p.Round, p.Round)
}

func (b *bed) data(p *plan) {
	p.File = filepath.Join(b.t.TempDir(), "licences.csv")
	if err := os.WriteFile(p.File, []byte(enclavetest.Licences(p.Round, 40)), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// spare is a resource of its own with data, whose column nobody reads.
func (b *bed) spare(p *plan) {
	b.data(p)
	p.Resource = fmt.Sprintf("spare-%d", p.Round)
	docs := b.d.Parse(fmt.Sprintf(spareResource, p.Resource))
	err := inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		if _, err := d.Apply(ctx, docs, nil, false); err != nil {
			return err
		}
		_, err := d.Import(ctx, p.Resource, p.File, nil)
		return err
	})(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
}

const spareResource = `kind: Resource
id: %[1]s
title: {en: Made-up licences}
registration: R-%[1]s
provider: Operator
sourceOfTruth: synthetic
category: sandbox
grade: open
personalInformation: false
synthetic: true
subject: account
updateCycle: irregular
legalBasis: {en: Synthetic data}
columns:
  - {name: account, type: string, role: key, required: true, unique: true, title: {en: Account}}
  - {name: name, type: string, role: key, required: true, title: {en: Name}}
  - {name: sector, type: string, role: label, required: true, title: {en: Sector}}
  - {name: secret, type: string, role: hidden, title: {en: Not for anyone}}
`

// ended is an epoch whose grace is over.
func (b *bed) ended(p *plan) {
	err := inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		published, err := d.Publish(ctx, "holder", enclave.PublishOptions{NewEpoch: true})
		if err == nil {
			p.Epoch = published.Descriptor.Epoch - 1
		}
		return err
	})(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
	b.d.Clock.Advance(vocabulary.DefaultGraceDays*24*time.Hour + time.Hour)
	p.Now = b.d.Clock.Now()
}

func (b *bed) empty(p *plan) {
	p.Dir, p.Database = filepath.Join(b.dirOfInits, fmt.Sprint(p.Round)), b.database()
}

func (b *bed) backupName(p *plan) { p.File = filepath.Join(b.t.TempDir(), "domain.backup") }

func (b *bed) backup(p *plan) {
	b.backupName(p)
	err := inDomain(func(ctx context.Context, d *enclave.Domain, _ *plan) error { return backup(ctx, d, p.File) })(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
	p.Mark = filepath.Join(p.Dir, "mark")
	b.empty(p)
}
