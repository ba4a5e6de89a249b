package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every command line that the README shows parses: the commands exist, and so
// do their flags.
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
