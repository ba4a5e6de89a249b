package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// golden holds what was said to testdata/golden/NAME; UPDATE_SCRIPTS=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if os.Getenv("UPDATE_SCRIPTS") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is said now; UPDATE_SCRIPTS=1 rewrites it:\n%s", path, got)
	}
}

// What differs from run to run, and what stands for it in a golden file.
var changing = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`sample\.example/yingbi\+\S+`), "LOGKEY"},
	{regexp.MustCompile(`ed25519:[A-Za-z0-9+/]{43}=`), "ed25519:KEY"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`[A-Za-z0-9+/]{43}=`), "HASH"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "JOB"},
	{regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\S*yingbi-demo-\d+`), "FOLDER"},
	{regexp.MustCompile(`20\d\d-\d\d-\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`--since 20\d\d-\d\d-\d\d`), "--since DAY"},
	{regexp.MustCompile(`--month 20\d\d-\d\d`), "--month MONTH"},
	{regexp.MustCompile(`(T8P|for) 20\d\d-\d\d\b`), "$1 MONTH"},
	{regexp.MustCompile(`\d+(\.\d+)?(µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`\d+(\.\d+)? ?(s\b|秒)`), "DURATION"},
	{regexp.MustCompile(`\d+(\.\d+)? [KMG]?B\b`), "SIZE"},
	{regexp.MustCompile(`\(\d+ records/s\)|（每秒 \d+ 条）`), "(RATE)"},
	{regexp.MustCompile(`(the entry of receipt|回执) \d+`), "$1 N"}, // receipts are sorted by their jobs, which are random
	{regexp.MustCompile(`  +`), "  "},                             // columns are as wide as what changes
	{regexp.MustCompile(`(?m) +$`), ""},
	{regexp.MustCompile(`(?m)^( +\d\d) +\d+$`), "$1 FIGURE"}, // a sector's count, rounded by a fingerprint whose key is random
}

func steady(s string) []byte {
	for _, c := range changing {
		s = c.pattern.ReplaceAllString(s, c.instead)
	}
	return []byte(s)
}

// The whole story, word by word, in both languages.
func TestDemoGolden(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	for _, lang := range []string{"en", "zh"} {
		t.Run(lang, func(t *testing.T) {
			code, out, errOut := runLine(t, nil, "demo", "--lang", lang)
			if code != exitOK || errOut != "" {
				t.Fatalf("exit status %d: %s\n%s", code, errOut, out)
			}
			golden(t, "demo."+lang, steady(out))
		})
	}
}

// What goes wrong says the same in both languages: what, where, what to do.
func TestErrorsGolden(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) string {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	write("right", "correct horse\n")
	write("wrong", "battery staple\n")
	write("bad.yaml", "kind: Tariff\nid: t-1\ntitle: {en: Price}\nproduct: nothing\nbasis: per-head\nprice: 1,5\nfrom: 2026-13-01\nprise: 2\n")
	write("many.csv", "a,a\n1,2\n")
	write("short.jsonl", "{}\n")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	domain := func(args ...string) []string {
		return append(args, "-d", at("domain"), "--machine-key", at("machine.key"))
	}
	newDomain := func(name string, unlock ...string) []string {
		return append([]string{"init", at(name), "--operator", "91310000MA1FL5XW2J", "--name", "Operator", "--origin", "sample.example/yingbi",
			"--authoriser", at("authoriser/public.key"), "--authority", at("authority/public.key")}, unlock...)
	}
	for _, setup := range [][]string{
		{"identity", "new", at("authoriser"), "--role", "authoriser", "--id", "bureau"},
		{"identity", "new", at("authority"), "--role", "authority", "--id", "prices"},
		newDomain("domain", "--machine-key", at("machine.key")),
		newDomain("sealed", "--passphrase-file", at("right")),
		newDomain("unkeyed", "--machine-key", at("machine.key")),
	} {
		if code, _, errOut := runLine(t, nil, setup...); code != exitOK {
			t.Fatal(errOut)
		}
	}
	if err := os.Remove(at("unkeyed/keyring.age")); err != nil {
		t.Fatal(err)
	}
	audit := []string{"--log-key", "sample.example/yingbi+8061bda6+AUdq4yEoUI7DImkcp263ejDoHSwD12YD3NiOkDjJJJf7", "--authoriser", at("authoriser/public.key"), "--authority", at("authority/public.key")}
	cases := [][]string{
		{"nonsense"},
		{"publish"},
		{"log", "--nonsense"},
		{"log", "--kind"},
		{"log", "--lang", "fr"},
		{"quote", "--product", "p", "--purpose", "industry", "--units", "many"},
		{"verify", "--product", "p", "--purpose", "profit"},
		{"log", "--since", "yesterday"},
		{"log", "--passphrase-file", "a", "--machine-key", "b"},
		{"init", at("other"), "--operator", "91310000MA1FL5XW2X", "--name", "O", "--authoriser", "k", "--authority", "k"},
		{"suspend", "p", "-d", at("sealed")},
		{"suspend", "p", "-d", at("sealed"), "--passphrase-file", at("wrong")},
		{"suspend", "p", "-d", at("sealed"), "--machine-key", at("machine.key")},
		{"suspend", "p", "-d", at("domain"), "--machine-key", at("none")},
		{"suspend", "p", "-d", at("unkeyed"), "--machine-key", at("machine.key")},
		{"log", "-d", at("nowhere"), "--passphrase-file", at("right")},
		domain("apply", "-f", at("bad.yaml")),
		domain("apply", "-f", at("none.yaml")),
		domain("import", "licences", at("none.csv")),
		domain("publish", "nothing"),
		domain("suspend", "nothing"),
		domain("serve", "--listen", busy.Addr().String()),
		{"products", "--identity", at("authoriser")},
		{"products", "--identity", at("none")},
		append([]string{"audit", "log", at("short.jsonl")}, audit...),
		append([]string{"audit", "log", at("none.jsonl")}, audit...),
	}
	for _, lang := range []string{"en", "zh"} {
		var said bytes.Buffer
		for _, args := range cases {
			code, _, errOut := runLine(t, map[string]string{"YINGBI_LANG": lang}, args...)
			fmt.Fprintf(&said, "$ yingbi %s\n%s[%d]\n\n", strings.Join(args, " "), errOut, code)
		}
		golden(t, "errors."+lang, steady(strings.ReplaceAll(said.String(), dir+string(filepath.Separator), "")))
	}
}
