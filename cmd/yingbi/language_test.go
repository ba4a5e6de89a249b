package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
)

// The flag goes before YINGBI_LANG, and that before the locale; a terminal that
// is not in UTF-8 is not shown Chinese.
func TestChooseLanguage(t *testing.T) {
	for _, c := range []struct {
		args        string
		environment map[string]string
		want        text.Lang
	}{
		{"log", nil, text.En},
		{"log --lang zh", nil, text.Zh},
		{"--lang=zh log", nil, text.Zh},
		{"log --lang en", map[string]string{"YINGBI_LANG": "zh"}, text.En},
		{"log -- --lang zh", nil, text.En},
		{"log", map[string]string{"YINGBI_LANG": "zh", "LANG": "en_US.UTF-8"}, text.Zh},
		{"log", map[string]string{"LANG": "zh_CN.UTF-8"}, text.Zh},
		{"log", map[string]string{"LANG": "zh_CN.utf8"}, text.Zh},
		{"log", map[string]string{"LANG": "zh"}, text.Zh},
		{"log", map[string]string{"LANG": "zh_CN.GBK"}, text.En},
		{"log", map[string]string{"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, text.En},
		{"log", map[string]string{"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, text.Zh},
		{"log", map[string]string{"LANG": "zha_CN.UTF-8"}, text.En},
	} {
		e := &env{getenv: func(name string) string { return c.environment[name] }}
		if e.chooseLanguage(strings.Fields(c.args)); e.Lang != c.want {
			t.Errorf("yingbi %s in %v: %v, want %v", c.args, c.environment, e.Lang, c.want)
		}
	}
}

// A server speaks its domain's language unless somebody chose for this run.
func TestDomainLanguage(t *testing.T) {
	for _, c := range []struct {
		args string
		want text.Lang
	}{{"serve", text.Zh}, {"serve --lang en", text.En}} {
		e := &env{getenv: func(string) string { return "" }}
		e.chooseLanguage(strings.Fields(c.args))
		if e.domainLanguage("zh"); e.Lang != c.want {
			t.Errorf("yingbi %s: %v, want %v", c.args, e.Lang, c.want)
		}
	}
}

// eachCommand visits a tree made in a language.
func eachCommand(lang text.Lang, visit func(*cobra.Command)) {
	e := &env{Lang: lang, getenv: func(string) string { return "" }}
	var each func(*cobra.Command)
	each = func(cmd *cobra.Command) {
		visit(cmd)
		for _, c := range cmd.Commands() {
			each(c)
		}
	}
	each(e.root())
}

// In English, the usage is what cobra itself would write.
func TestUsageIsCobras(t *testing.T) {
	eachCommand(text.En, func(cmd *cobra.Command) {
		ours := cmd.UsageString()
		cmd.Root().SetUsageFunc(nil)
		cobras := cmd.UsageString()
		e := &env{getenv: func(string) string { return "" }}
		cmd.Root().SetUsageFunc(func(c *cobra.Command) error { return e.usage(c.OutOrStderr(), c) })
		if ours != cobras {
			t.Errorf("%s: usage is\n%s\ncobra's is\n%s", cmd.CommandPath(), ours, cobras)
		}
	})
}

// In Chinese, no line of any command's help is English: every line that says
// something says it in Chinese.
func TestHelpIsChineseThroughout(t *testing.T) {
	var pages bytes.Buffer
	eachCommand(text.Zh, func(cmd *cobra.Command) {
		var b bytes.Buffer
		cmd.SetOut(&b)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		cmd.SetOut(io.Discard)
		fmt.Fprintf(&pages, "$ %s --help\n%s\n", cmd.CommandPath(), b.String())
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSpace(line)
			chinese := strings.ContainsFunc(line, func(r rune) bool { return unicode.Is(unicode.Han, r) })
			if line != "" && !chinese && !strings.HasPrefix(line, cmd.Root().Name()+" ") && line != cmd.NameAndAliases() {
				t.Errorf("%s --help --lang zh: %q is not Chinese", cmd.CommandPath(), line)
			}
		}
	})
	golden(t, "help.zh", pages.Bytes())
}
