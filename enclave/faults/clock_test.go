package faults

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
)

const year = 360 * 24 * time.Hour // of a certificate

const laterTariff = `kind: Tariff
id: sector-later
title: {en: Next year's}
product: sector
basis: per-subject
price: "0.1100"
trial: false
from: 2027-06-01
`

// The clock of a domain that serves jumps a year ahead and back. Times in the
// log never go back and every job is decided at its entry's time: next year's
// tariff and quotas hold from the jump on, this year's quota does not come back,
// what was settled is answered again in the same bytes, and the audit is clean.
func TestClockThereAndBack(t *testing.T) {
	d, e := enclavetest.Published(t)
	if changes, err := d.Apply(laterTariff); err != nil {
		t.Fatal(err, changes)
	}
	var log logged
	d = reopened(t, d, slog.New(slog.NewTextHandler(&log, nil)))
	address := d.Serve()
	c := d.Dial(address, e)
	run := func(n int) *enclavetest.Job {
		t.Helper()
		subjects := make([][]string, n)
		for i := range subjects {
			subjects[i] = []string{enclavetest.Account(i)}
		}
		j := c.Prepare("sector", "industry", 0, subjects)
		c.MustSend(j)
		return j
	}
	again := func(when string, j *enclavetest.Job) {
		t.Helper()
		resp, err := c.Evaluate(t.Context(), j.Request)
		if err != nil || !bytes.Equal(resp.GetEvaluated(), j.Response.GetEvaluated()) || !bytes.Equal(resp.GetProof(), j.Response.GetProof()) {
			t.Errorf("%s, a settled job is not answered again in the same bytes: %v", when, err)
		}
		if answers, err := c.LookUp(j); err != nil || !answers[0].Found {
			t.Errorf("%s, a settled job's lookups: %v, %v", when, answers, err)
		}
	}
	refused := func(when string, n int) {
		t.Helper()
		subjects := make([][]string, n)
		for i := range subjects {
			subjects[i] = []string{enclavetest.Account(i)}
		}
		err := c.Send(c.Prepare("sector", "industry", 0, subjects))
		if err == nil || !strings.Contains(err.Error(), "the quota is used up") {
			t.Errorf("%s, over the day's quota of 40: %v", when, err)
		}
	}

	today := run(30)
	refused("before", 20)
	d.Clock.Advance(year)
	ahead := run(30) // another day
	again("ahead", today)
	refused("ahead", 20)
	d.Clock.Advance(-year)
	back := run(5)
	refused("back", 20) // 35 of the day that the log has
	again("back", today)
	again("back", ahead)
	log.until(t, "the clock is behind the log", "set it right")

	if !ahead.Entry.Time.After(today.Entry.Time.Time) || back.Entry.Time.Before(ahead.Entry.Time.Time) {
		t.Errorf("times of entries: %s, a year ahead %s, back %s", today.Entry.Time, ahead.Entry.Time, back.Entry.Time)
	}
	for _, j := range []*enclavetest.Job{today, ahead, back} {
		want := "sector-tariff"
		if j != today {
			want = "sector-later"
		}
		if got := j.Entry.TheCall().Price.Tariff; got != want {
			t.Errorf("the tariff at %s: %s, want %s", j.Entry.Time, got, want)
		}
	}
	clock := enclave.Severity("")
	for _, f := range enclave.Examine(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}, true) {
		if f.Check == enclave.CheckClock {
			clock = f.Severity
		}
	}
	if clock != enclave.Fault {
		t.Errorf("doctor says of the clock %q", clock)
	}
	auditClean(t, d)

	d.Clock.Advance(year + time.Hour) // the clock has caught up
	j := run(5)
	if j.Entry.Time.Time.After(d.Clock.Now()) {
		t.Errorf("the clock has caught up: %s", j.Entry.Time)
	}
	auditClean(t, d)
}

// auditClean audits a domain's log and checks its database.
func auditClean(t *testing.T, d *enclavetest.Domain) {
	t.Helper()
	if err := check(t.Context(), d.Dir); err != nil {
		t.Error(err)
	}
	keys, err := d.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		t.Fatal(err)
	}
	log, err := d.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Audit(t.Context(), log, audit.Keys{Log: v, Authoriser: keys.Authoriser, Authority: keys.Authority}, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("the audit found %s", f)
	}
	last := time.Time{}
	for e, err := range d.Entries(t.Context(), state.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Time.Before(last) {
			t.Errorf("entry %d, of %s, is before the one before it", e.Seq, e.Time)
		}
		last = e.Time.Time
	}
}

// By a client's clock the server's certificate has ended, and the other way
// about: both are told which.
func TestCertificateEndedByTheOthersClock(t *testing.T) {
	d, e := enclavetest.Published(t)
	address := d.Serve()
	for name, ahead := range map[string]time.Duration{"ahead": 2 * year, "behind": -2 * year} {
		config := d.TLSConfig(e.TLS, e.Cert)
		config.Time = func() time.Time { return d.Clock.Now().Add(ahead) }
		_, err := tls.Dial("tcp", address, config)
		if says := "certificate has expired or is not yet valid: current time 20"; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("a client whose clock is %s is told %v", name, err)
		}
	}
	// The server renews its own by its own clock; a client's has to be renewed.
	d.Clock.Advance(2 * year)
	_, err := d.Dial(address, e).Products(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "expired certificate") {
		t.Errorf("a client whose certificate has ended is told %v", err)
	}
}
