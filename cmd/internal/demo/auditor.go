package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
)

func (s *story) auditor(ctx context.Context) error {
	s.act(s.T("demo.audit"))
	month := s.Clock().In(cst).Format("2006-01")
	r, err := s.run(ctx, 0, "statement --enterprise "+enterpriseCode+" --month "+month+" -d domain")
	if err != nil {
		return err
	}
	if err := expect(strings.Contains(r.out, s.owed()), "the statement's total is not %s", s.owed()); err != nil {
		return err
	}
	if _, err := s.run(ctx, 0, "log -d domain --export out/log.jsonl "+unlockFlag); err != nil {
		return err
	}
	audit := "audit log out/%s --log-key out/log.vkey --authoriser keys/authoriser/public.key --authority keys/authority/public.key" +
		" --enterprise " + enterpriseCode + "=keys/northwind/public.key --receipts keys/northwind/state/receipts"
	if _, err := s.run(ctx, 0, fmt.Sprintf(audit, "log.jsonl")); err != nil {
		return err
	}
	s.point(s.T("demo.audit-point"))
	return s.tamper(ctx, audit)
}

// owed is what the demo's paid calls come to: 100 and 100 sectors at 0.1800
// and, with the real licences, 100 holders at 0.1537 and 24 cells at 0.0300.
func (s *story) owed() string {
	if s.Records > 0 {
		return "36.00"
	}
	return "52.09"
}

// tamper alters copies of the ledger, one fault each, and demands that the
// audit names it.
func (s *story) tamper(ctx context.Context, audit string) error {
	s.act(s.T("demo.tamper"))
	log, err := os.ReadFile(s.path("out", "log.jsonl"))
	if err != nil {
		return fmt.Errorf("read the exported log: %w", err)
	}
	lines := bytes.SplitAfter(log, []byte("\n"))
	paid := -1
	for i, l := range lines {
		if bytes.Contains(l, []byte(`"kind":"call"`)) && bytes.Contains(l, []byte(`"amount":"18`)) {
			paid = i
		}
	}
	if err := expect(paid > 0, "the exported log holds no call of 18 yuan"); err != nil {
		return err
	}
	seq := regexp.MustCompile(`"seq":(\d+)`).FindSubmatch(lines[paid])
	for _, forgery := range []struct {
		name, told string
		forge      func() [][]byte
	}{
		{"cheaper.jsonl", s.T("demo.tamper-amount"), func() [][]byte {
			forged := bytes.Replace(lines[paid], []byte(`"amount":"18`), []byte(`"amount":"17`), 1)
			return append(append(append([][]byte{}, lines[:paid]...), forged), lines[paid+1:]...)
		}},
		{"shorter.jsonl", s.T("demo.tamper-delete"), func() [][]byte {
			return append(append([][]byte{}, lines[:paid]...), lines[paid+1:]...)
		}},
	} {
		s.point(forgery.told)
		forged := bytes.Join(forgery.forge(), nil)
		if err := expect(!bytes.Equal(forged, log), "the forgery changed nothing"); err != nil {
			return err
		}
		if err := os.WriteFile(s.path("out", forgery.name), forged, 0o644); err != nil {
			return fmt.Errorf("write a forged log: %w", err)
		}
		r, err := s.run(ctx, 1, fmt.Sprintf(audit, forgery.name))
		if err != nil {
			return err
		}
		if err := expect(strings.Contains(r.out, string(seq[1])), "the audit did not name entry %s", seq[1]); err != nil {
			return err
		}
	}
	s.point(s.T("demo.tamper-point"))
	return nil
}

func (s *story) writeRaw(name, content string) error {
	if err := os.WriteFile(s.path("out", name), []byte(content), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
