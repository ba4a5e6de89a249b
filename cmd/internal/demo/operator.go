package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// The sample's parties.
const (
	operatorCode   = "91310000MA1FL5XW2J"
	enterpriseCode = "91330100MA2AXK7T8P"
)

// unlockFlag opens the demo's keyring without a person.
const unlockFlag = "--machine-key machine.key"

func (s *story) identities(ctx context.Context) error {
	s.act(s.T("demo.identities"))
	for _, p := range []string{
		"keys/authoriser --role authoriser --id data-administration",
		"keys/authority --role authority --id price-bureau",
		"keys/reviewer --role reviewer --id reviewer-1",
		"keys/northwind --role enterprise --id " + enterpriseCode + " --name Northwind",
	} {
		if _, err := s.run(ctx, 0, "identity new "+p); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) domain(ctx context.Context) error {
	s.act(s.T("demo.domain"))
	init := "init domain --operator " + operatorCode + " --name Sample-Data-Operations --origin sample.example/yingbi" +
		" --authoriser keys/authoriser/public.key --authority keys/authority/public.key --listen 127.0.0.1:0 " + unlockFlag
	if _, err := s.run(ctx, 0, init); err != nil {
		return err
	}
	r, err := s.run(ctx, 0, init)
	if err != nil {
		return err
	}
	if err := expect(strings.Contains(r.out+r.errOut, s.T("init.exists-word")), "a second init did not say that nothing changed"); err != nil {
		return err
	}
	for _, sign := range []string{
		"keys/reviewer/request.json --out keys/reviewer/enrolment.json",
		"keys/northwind/request.json --out keys/northwind/enrolment.json --manifest sample/enterprise.yaml",
	} {
		if _, err := s.run(ctx, 0, "identity sign "+sign+" -d domain "+unlockFlag); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) vocabulary(ctx context.Context) error {
	s.act(s.T("demo.vocabulary"))
	for _, f := range []string{"10-authorisation.yaml", "40-ceilings.yaml"} {
		if _, err := s.run(ctx, 0, "approve sample/manifests/"+f+" --identity keys/authoriser"); err != nil {
			return err
		}
	}
	applied := []string{"apply -f sample/manifests", "apply -f sample/manifests", "apply -f sample/enterprise.yaml", "apply -f sample/grants.yaml"}
	if s.Records == 0 {
		if err := s.approveStatistics(ctx); err != nil {
			return err
		}
		applied = append(applied, "apply -f sample/aggregate")
	}
	for _, apply := range applied {
		if _, err := s.run(ctx, 0, apply+" -d domain "+unlockFlag); err != nil {
			return err
		}
	}
	// A price over its ceiling is refused when it is applied, not when it is charged.
	greedy, err := os.ReadFile(s.path("sample", "manifests", "50-tariffs.yaml"))
	if err != nil {
		return fmt.Errorf("read the tariffs: %w", err)
	}
	greedy = []byte(strings.Replace(string(greedy), `"0.1537"`, `"0.1601"`, 1))
	if err := os.WriteFile(s.path("sample", "greedy-tariffs.yaml"), greedy, 0o644); err != nil {
		return fmt.Errorf("write a tariff over its ceiling: %w", err)
	}
	if _, err := s.run(ctx, 1, "apply -f sample/greedy-tariffs.yaml -d domain "+unlockFlag); err != nil {
		return err
	}
	s.point(s.T("demo.vocabulary-point"))
	return nil
}

func (s *story) data(ctx context.Context) error {
	s.act(s.T("demo.data"))
	r, err := s.run(ctx, 0, "import business-licences sample/licences.csv -d domain "+unlockFlag)
	if err != nil {
		return err
	}
	s.figure(s.T("demo.figure-records"), "%d", s.table.records)
	s.figure(s.T("demo.figure-import"), "%.1f s", r.took.Seconds())
	if _, err := s.run(ctx, 0, "import sandbox-licences sample/sandbox.csv -d domain "+unlockFlag); err != nil {
		return err
	}
	s.point(s.T("demo.data-point"))
	return nil
}

// products are what the demo publishes. A large synthetic table is published
// once, as labels.
func (s *story) products() []string {
	if s.Records > 0 {
		return []string{labelProduct, sandboxProduct}
	}
	return []string{equalsProduct, labelProduct, sandboxProduct}
}

const (
	equalsProduct  = "licence-holder"
	labelProduct   = "licence-sector"
	sandboxProduct = "sandbox-sector"
)

func (s *story) publish(ctx context.Context) error {
	s.act(s.T("demo.publish"))
	for _, p := range s.products() {
		if _, err := s.run(ctx, 0, "review "+p+" --identity keys/reviewer -d domain "+unlockFlag); err != nil {
			return err
		}
	}
	if _, err := s.run(ctx, 0, "publish "+labelProduct+" --dry-run -d domain "+unlockFlag); err != nil {
		return err
	}
	for _, p := range s.products() {
		r, err := s.run(ctx, 0, "publish "+p+" -d domain "+unlockFlag)
		if err != nil {
			return err
		}
		if p == labelProduct {
			s.figure(s.T("demo.figure-publish"), "%s", s.T("demo.value-publish", r.took.Seconds(), float64(s.table.records)/r.took.Seconds()))
			if peak := peakMemory(); peak > 0 {
				s.figure(s.T("demo.figure-memory"), "%.0f MB", float64(peak)/1e6)
			}
		}
	}
	s.point(s.T("demo.publish-point"))
	if s.Records > 0 {
		return nil
	}
	if err := s.review(ctx, countsProduct); err != nil {
		return err
	}
	_, err := s.run(ctx, 0, "publish "+countsProduct+" -d domain "+unlockFlag)
	return err
}

// serve starts the server in the background and returns what stops it.
func (s *story) serve(ctx context.Context) (stop func() error, err error) {
	s.act(s.T("demo.serve"))
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan string, 1)
	done := make(chan error, 1)
	line := "serve -d domain " + unlockFlag
	var once sync.Once
	go func() {
		_, err := s.runWith(ctx, 0, line, Command{Ready: func(address string) { once.Do(func() { ready <- address }) }})
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		done <- err
	}()
	select {
	case address := <-ready:
		s.gateway = address
	case err = <-done:
		cancel()
		return nil, errors.Join(err, expect(false, "the server ended before it listened"))
	case <-time.After(time.Minute):
		cancel()
		return nil, expect(false, "the server does not listen after a minute")
	}
	return func() error { cancel(); return <-done }, nil
}
