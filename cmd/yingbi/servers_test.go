package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/state/pgtest"
)

// operation is a folder in which commands are run as processes of their own, as
// people at an operator's and an enterprise's run them.
type operation struct {
	*testing.T
	dir string
}

func (o *operation) command(args ...string) *exec.Cmd {
	cmd := exec.Command("yingbi", args...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "HOME="+o.dir, "LANG=C", "YINGBI_DOMAIN=domain", "YINGBI_MACHINE_KEY=machine.key", "YINGBI_IDENTITY=keys/northwind")
	return cmd
}

// run runs a command line, which has to succeed.
func (o *operation) run(line string) string {
	o.Helper()
	out, err := o.command(strings.Fields(line)...).CombinedOutput()
	if err != nil {
		o.Fatalf("yingbi %s: %v\n%s", line, err, out)
	}
	return string(out)
}

// serve starts a gateway and gives it when it listens.
func (o *operation) serve(name string) (gateway *exec.Cmd, address string) {
	o.Helper()
	file := filepath.Join(o.dir, name)
	if err := os.RemoveAll(file); err != nil {
		o.Fatal(err)
	}
	gateway = o.command("serve", "--listen", "127.0.0.1:0", "--address-file", name)
	var said bytes.Buffer
	gateway.Stderr = &said
	if err := gateway.Start(); err != nil {
		o.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- gateway.Wait() }()
	o.Cleanup(func() { _ = gateway.Process.Kill() }) // it may have been killed
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(file); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			return gateway, strings.TrimSpace(string(b))
		}
		select {
		case err := <-ended:
			o.Fatalf("serve: %v\n%s", err, said.String())
		case <-tick.C:
		}
	}
}

// Several gateways work on one database, and each of them is killed and started
// again while enterprises ask: what was begun at one is finished at another, paid
// once, and the log is one log.
func TestSeveralServersOnOneDatabase(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	o := &operation{t, t.TempDir()}
	database := pgtest.New(t).Schema(t)
	sample, err := filepath.Abs("../../deploy/sample")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(o.dir, "sample"), os.DirFS(sample)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"identity new keys/authoriser --role authoriser --id data-administration",
		"identity new keys/authority --role authority --id price-bureau",
		"identity new keys/reviewer --role reviewer --id reviewer-1",
		"identity new keys/northwind --role enterprise --id 91330100MA2AXK7T8P --name Northwind",
		"init domain --operator 91310000MA1FL5XW2J --name Ops --authoriser keys/authoriser/public.key --authority keys/authority/public.key --database " + database,
		"identity sign keys/reviewer/request.json --out keys/reviewer/enrolment.json",
		"identity sign keys/northwind/request.json --out keys/northwind/enrolment.json --manifest enterprise.yaml",
		"approve sample/manifests/10-authorisation.yaml --identity keys/authoriser",
		"approve sample/manifests/40-ceilings.yaml --identity keys/authoriser",
		"apply -f sample/manifests",
		"apply -f enterprise.yaml -f sample/grants.yaml",
		"import business-licences sample/licences.csv",
		"review licence-sector --identity keys/reviewer",
		"publish licence-sector",
	} {
		o.run(line)
	}

	const servers, rounds, sheets = 3, 3, 4 // sheets a round and server
	gateways, addresses := make([]*exec.Cmd, servers), make([]string, servers)
	for i := range servers {
		gateways[i], addresses[i] = o.serve(fmt.Sprintf("address-%d", i))
	}
	for round := range rounds {
		var asking sync.WaitGroup
		for n := range servers * sheets {
			sheet := fmt.Sprintf("sheet-%d-%d.csv", round, n)
			ids := fmt.Sprintf("city_account_number\n0000000420000099\nnone %d %d\n", round, n)
			if err := os.WriteFile(filepath.Join(o.dir, sheet), []byte(ids), 0o600); err != nil {
				t.Fatal(err)
			}
			asking.Go(func() {
				for try := range 3 * servers { // a gateway that is gone: the next one
					out, err := o.command("verify", "--product", "licence-sector", "--purpose", "industry", "--in", sheet, "--out", "answers-"+sheet,
						"--gateway", addresses[(n+try)%servers]).CombinedOutput()
					if err == nil {
						return
					}
					if !strings.Contains(string(out), "UNAVAILABLE") {
						t.Errorf("%s: %v\n%s", sheet, err, out)
						return
					}
				}
				t.Errorf("%s: no gateway answered it", sheet)
			})
		}
		if err := gateways[round%servers].Process.Kill(); err != nil {
			t.Error(err)
		}
		asking.Wait()
		gateways[round%servers], addresses[round%servers] = o.serve(fmt.Sprintf("address-%d", round%servers))
	}

	for round := range rounds {
		for n := range servers * sheets {
			b, err := os.ReadFile(filepath.Join(o.dir, fmt.Sprintf("answers-sheet-%d-%d.csv", round, n)))
			if err != nil || !strings.Contains(string(b), "0000000420000099,yes,Wholesale trade") {
				t.Errorf("round %d, sheet %d: %q %v", round, n, b, err)
			}
		}
	}
	o.run("log --export log.jsonl")
	said := o.run("audit log log.jsonl --log-key log.vkey --authoriser keys/authoriser/public.key --authority keys/authority/public.key --receipts keys/northwind/state/receipts")
	if want := fmt.Sprintf("paid calls: %d,", rounds*servers*sheets); !strings.Contains(said, "clean") || !strings.Contains(said, want) {
		t.Errorf("the audit says\n%s\nwant it clean, with %s: each sheet paid once", said, want)
	}
}
