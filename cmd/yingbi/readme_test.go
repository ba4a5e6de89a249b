package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// blocks returns the commands of the README's console blocks under a heading,
// block by block.
func blocks(t *testing.T, heading string) []string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading)
	if !ok {
		t.Fatalf("the README has no %q: has its form changed?", heading)
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	var found []string
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(section, -1) {
		found = append(found, strings.TrimPrefix(strings.ReplaceAll(block[1], "\n$ ", "\n"), "$ "))
	}
	return found
}

// readme is the README's three times ten minutes as one shell script, by one
// person who plays all parts: the operator's, the enterprise's but for making
// its identity, the auditor's. Only the port is another.
func readme(t *testing.T) string {
	t.Helper()
	enterprise := blocks(t, "Ten minutes as an enterprise")
	operator := strings.Join(blocks(t, "Ten minutes as an operator"), "")
	auditor := strings.Join(blocks(t, "Ten minutes as an auditor"), "")
	served := strings.Replace(operator, "yingbi serve -d domain\n", `yingbi serve -d domain --listen 127.0.0.1:0 --address-file address & gateway=$!
trap 'kill $gateway' EXIT
until [ -s address ]; do kill -0 $gateway; sleep 0.1; done
export YINGBI_GATEWAY=$(cat address)
`, 1)
	asked := strings.Replace(strings.Join(enterprise[1:], ""), "yingbi agent\n", `yingbi agent --listen 127.0.0.1:0 --address-file agent-address & agent=$!
trap 'kill $gateway $agent' EXIT
until [ -s agent-address ]; do kill -0 $agent; sleep 0.1; done
set -- --agent http://$(cat agent-address)
command -v python3 >/dev/null || python3() { true; }
`, 1)
	asked = strings.Replace(asked, "verify.py --product", `verify.py "$@" --product`, 1)
	if len(enterprise) < 3 || served == operator || auditor == "" {
		t.Fatal("the README's parts are not as they were: has its form changed?")
	}
	return served + "cp -r keys/northwind me\n" + asked + auditor
}

// Every command line that the README shows parses: the commands exist, and so
// do their flags. TestScripts runs those of the three parts.
func TestReadmeCommandsParse(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\\\n", " ")
	lines := regexp.MustCompile(`(?m)^\$ (?:go run ./cmd/)?yingbi (.*)$`).FindAllStringSubmatch(text, -1)
	if len(lines) < 15 {
		t.Fatalf("the README shows %d command lines: has its form changed?", len(lines))
	}
	quoted := regexp.MustCompile(`"[^"]*"|\S+`)
	for _, l := range lines {
		line, _, _ := strings.Cut(l[1], "  #")
		args := quoted.FindAllString(line, -1)
		e := &env{getenv: func(string) string { return "" }}
		cmd, rest, err := e.root().Find(args)
		if err != nil {
			t.Errorf("yingbi %s: %v", line, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("yingbi %s: %v", line, err)
			continue
		}
		if cmd.Args != nil {
			if err := cmd.Args(cmd, cmd.Flags().Args()); err != nil {
				t.Errorf("yingbi %s: %v", line, err)
			}
		}
	}
}
