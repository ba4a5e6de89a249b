package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The command runs inside the scripts' own processes, as a person's would.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"yingbi": main})
}

// Each script under testdata/script is a command's specification: what is
// typed, what is said on which stream, with which exit status.
func TestScripts(t *testing.T) {
	sample, err := filepath.Abs("../../deploy/sample")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Abs("../../sdk/examples")
	if err != nil {
		t.Fatal(err)
	}
	script := readme(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("SAMPLE", sample)
			env.Setenv("EXAMPLES", examples)
			return os.WriteFile(filepath.Join(env.WorkDir, "readme.sh"), []byte(script), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"wait-listening": waitListening,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// wait-listening FILE VAR sets VAR to the address that a background serve has
// written to FILE.
func waitListening(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: wait-listening FILE VAR")
	}
	path := ts.MkAbs(args[0])
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 && b[len(b)-1] == '\n' {
			ts.Setenv(args[1], string(b[:len(b)-1]))
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("serve does not listen after a minute")
		case <-tick.C:
		}
	}
}
