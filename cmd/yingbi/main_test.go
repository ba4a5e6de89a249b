package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
)

// runLine runs a command line with an environment of its own.
func runLine(t *testing.T, environment map[string]string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, clock: time.Now,
		getenv: func(name string) string { return environment[name] }}
	return e.run(t.Context(), args), stdout.String(), stderr.String()
}

// Exit status 2 is a wrong use, or an audit that could not be done; 1 is a
// failure of a right one.
func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	if code, _, errOut := runLine(t, nil, "identity", "new", filepath.Join(dir, "key"), "--role", "authoriser", "--id", "someone"); code != exitOK {
		t.Fatal(errOut)
	}
	key := filepath.Join(dir, "key", "public.key")
	const vkey = "sample.example/yingbi+8061bda6+AUdq4yEoUI7DImkcp263ejDoHSwD12YD3NiOkDjJJJf7"
	audit := []string{"audit", "log", "--log-key", vkey, "--authoriser", key, "--authority", key}
	for _, c := range []struct {
		code int
		args []string
		said string
	}{
		{exitOK, nil, ""},
		{exitOK, []string{"audit"}, ""},
		{exitOK, []string{"verify", "--help"}, ""},
		{exitUsage, []string{"nonsense"}, "yingbi has no command nonsense; yingbi --help"},
		{exitUsage, []string{"identity", "nonsense"}, "yingbi identity has no command nonsense"},
		{exitUsage, []string{"--nonsense"}, "unknown flag"},
		{exitUsage, []string{"publish"}, "it is used as: yingbi publish PRODUCT"},
		{exitUsage, []string{"log", "more"}, "it is used as: yingbi log"},
		{exitUsage, []string{"log", "--passphrase-file", "a", "--machine-key", "b"}, "passphrase-file"},
		{exitUsage, []string{"log", "--kind", "calls"}, "--kind calls: expected one of [manifest"},
		{exitUsage, []string{"log", "--export", "x", "--kind", "call"}, "--export writes the whole log"},
		{exitUsage, []string{"log", "--since", "yesterday"}, "--since yesterday: give a day"},
		{exitUsage, []string{"identity", "new", "x"}, "--id"},
		{exitUsage, []string{"approve", "x.yaml"}, "--identity DIR"},
		{exitUsage, []string{"suspend", "p", "--reason", "BORED"}, "--reason BORED: expected one of [OPERATOR_DECISION"},
		{exitUsage, []string{"statement", "--enterprise", "someone", "--month", "2026-11"}, "--enterprise: "},
		{exitUsage, []string{"verify", "--product", "p", "--purpose", "industri"}, "--purpose industri: expected industry"},
		{exitUsage, []string{"quote", "--product", "p", "--purpose", "fun", "--units", "1"}, "--purpose fun: expected industry"},
		{exitUsage, append(audit, filepath.Join(dir, "none")), "none"},
		{exitUsage, append(audit, key), "not an export"},
		{exitError, []string{"log", "-d", dir}, "no domain here"},
		{exitError, []string{"publish", "p", "-d", dir}, "passphrase"},
		{exitError, []string{"products", "--identity", filepath.Join(dir, "key")}, "not enrolled"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, _, errOut := runLine(t, nil, c.args...)
			if code != c.code || !strings.Contains(errOut, c.said) {
				t.Errorf("exit status %d, said %q; want %d, %q", code, errOut, c.code, c.said)
			}
		})
	}
}

// A folder without receipts is not a clean audit of receipts.
func TestAuditDemandsTheReceiptsNamed(t *testing.T) {
	f := auditFlags{receipts: t.TempDir()}
	if _, err := f.readReceipts(); err == nil || !strings.Contains(err.Error(), "holds no receipts") {
		t.Errorf("an empty folder: %v", err)
	}
	f.receipts = filepath.Join(f.receipts, "none")
	if _, err := f.readReceipts(); err == nil {
		t.Error("no folder: no error")
	}
	f.receipts = t.TempDir()
	if err := os.WriteFile(filepath.Join(f.receipts, "x.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.readReceipts(); err == nil || !strings.Contains(err.Error(), "x.json") {
		t.Errorf("a file that is no receipt: %v", err)
	}
}

// What a flag names goes before what the environment names.
func TestUnlockPrefersFlags(t *testing.T) {
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		environment map[string]string
		args        []string
		said        string
	}{
		{"a file over the environment's machine key", map[string]string{"YINGBI_MACHINE_KEY": "none.key"}, []string{"--passphrase-file", pass}, "no domain here"},
		{"a machine key over the environment's file", map[string]string{"YINGBI_PASSPHRASE_FILE": "none"}, []string{"--machine-key", "none.key"}, "no domain here"},
		{"the environment's file", map[string]string{"YINGBI_PASSPHRASE_FILE": "none"}, nil, "read the passphrase: open none"},
		{"the environment's passphrase", map[string]string{"YINGBI_PASSPHRASE": "secret"}, nil, "no domain here"},
		{"nothing", nil, nil, "there is nobody to ask"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errOut := runLine(t, c.environment, append([]string{"publish", "p", "-d", "nowhere"}, c.args...)...)
			if code != exitError || !strings.Contains(errOut, c.said) {
				t.Errorf("exit status %d, said %q; want %q", code, errOut, c.said)
			}
		})
	}
}

// Texts from outside do not drive the terminal.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\tb\nc 企业 → é":        "a\tb\nc 企业 → é",
		"\x1b[2Jgone":           "\ufffd[2Jgone",
		"a\rb\x07\u009b1m\x7f":  "a\ufffdb\ufffd\ufffd1m\ufffd",
		"to \u202eelif\u2066 x": "to \ufffdelif\ufffd x",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// A folder's manifests are read in the order of their names, whatever the
// folder is called.
func TestManifestsOfAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*")
	if err := os.MkdirAll(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readManifests([]string{dir}); err == nil || !strings.Contains(err.Error(), "holds no *.yaml") {
		t.Errorf("a folder without manifests: %v", err)
	}
	const list = "kind: NegativeList\nid: list-%s\ntitle: {en: List}\ncategories: [secrets]\n"
	for _, name := range []string{"20", "10"} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(strings.Replace(list, "%s", name, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	docs, _, err := readManifests([]string{dir})
	if err != nil || len(docs) != 2 || docs[0].Doc.GetMeta().ID != "list-10" {
		t.Errorf("read %v, %v", docs, err)
	}
}

// An enrolment names a gateway that can be dialled, or none.
func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8443":       "127.0.0.1:8443",
		"gateway.example:8443": "gateway.example:8443",
		"127.0.0.1:0":          "",
		":8443":                "gateway.example:8443",
		"0.0.0.0:8443":         "gateway.example:8443",
		"[::]:8443":            "gateway.example:8443",
	} {
		if got := reachable(&enclave.Config{Listen: listen, Hosts: []string{"gateway.example", "10.0.0.1"}}); got != want {
			t.Errorf("listening on %s: %q, want %q", listen, got, want)
		}
	}
}
