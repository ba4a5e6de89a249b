package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave/server"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// chooseLanguage finds the language of a run before its commands are made,
// for they describe themselves in it: --lang, else YINGBI_LANG, else the
// locale. A word that is no language is left for the flag to refuse.
func (e *env) chooseLanguage(args []string) {
	e.Lang = text.FromLocale(e.getenv)
	if l, ok := text.ParseLang(e.getenv("YINGBI_LANG")); ok {
		e.Lang, e.chosen = l, true
	}
	for i, a := range args {
		if a == "--" {
			return
		}
		word, ok := strings.CutPrefix(a, "--lang=")
		if a == "--lang" && i+1 < len(args) {
			word, ok = args[i+1], true
		}
		if l, known := text.ParseLang(word); ok && known {
			e.Lang, e.chosen = l, true
		}
	}
}

// langFlag is the value of --lang: chooseLanguage has acted on it already.
type langFlag struct{ word string }

func (f *langFlag) String() string { return f.word }
func (f *langFlag) Type() string   { return "string" }
func (f *langFlag) Set(s string) error {
	if _, ok := text.ParseLang(s); !ok {
		return text.E("error.language")
	}
	f.word = s
	return nil
}

// domainLanguage lets a domain's own option decide what its server says, where
// nobody chose for this run.
func (e *env) domainLanguage(option string) {
	if l, ok := text.ParseLang(option); ok && !e.chosen {
		e.Lang = l
	}
}

// localise gives a command tree the words that cobra would add in English.
func (e *env) localise(root *cobra.Command) {
	root.PersistentFlags().Var(&langFlag{}, "lang", e.T("flag.lang"))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.SetUsageFunc(func(cmd *cobra.Command) error { return e.usage(cmd.OutOrStderr(), cmd) })
	var each func(*cobra.Command)
	each = func(cmd *cobra.Command) {
		cmd.Flags().BoolP("help", "h", false, e.T("help.flag", cmd.Name()))
		for _, c := range cmd.Commands() {
			each(c)
		}
	}
	each(root)
	if e.Lang == text.En {
		return // cobra's own are English
	}
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Short, cmd.Long = e.T("help.short"), e.T("help.long", root.Name())
		case "completion":
			cmd.Short, cmd.Long = e.T("completion.short"), e.T("completion.long", root.Name())
			for _, shell := range cmd.Commands() {
				shell.Short = e.T("completion.shell", shell.Name())
				shell.Long = e.T("completion.shell-long", shell.Name(), shell.CommandPath())
				if f := shell.Flags().Lookup("no-descriptions"); f != nil {
					f.Usage = e.T("completion.no-descriptions")
				}
			}
		}
	}
}

// usage writes how a command is used: what cobra writes, in the run's language.
// TestUsageIsCobras holds the English to cobra's own.
func (e *env) usage(out io.Writer, cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString(e.T("help.usage"))
	if cmd.Runnable() {
		fmt.Fprintf(&b, "\n  %s", e.useLine(cmd))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n  %s", e.T("help.subcommand", cmd.CommandPath()))
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\n\n%s\n  %s", e.T("help.aliases"), cmd.NameAndAliases())
	}
	e.listCommands(&b, cmd)
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\n\n%s\n%s", e.T("help.flags"), e.flagUsages(cmd.LocalFlags()))
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(&b, "\n\n%s\n%s", e.T("help.global-flags"), e.flagUsages(cmd.InheritedFlags()))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\n%s", e.T("help.more", cmd.CommandPath()))
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}

// useLine is cobra's, with its one word.
func (e *env) useLine(cmd *cobra.Command) string {
	line, cut := strings.CutSuffix(cmd.UseLine(), " [flags]")
	if cut {
		line += " " + e.T("help.flags-word")
	}
	return line
}

func (e *env) listCommands(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	list := func(title string, belongs func(*cobra.Command) bool) {
		shown := slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool {
			return !belongs(c) || !c.IsAvailableCommand() && c.Name() != "help"
		})
		fmt.Fprintf(b, "\n\n%s", title)
		for _, c := range shown {
			fmt.Fprintf(b, "\n  %-*s %s", c.NamePadding(), c.Name(), c.Short)
		}
	}
	if len(cmd.Groups()) == 0 {
		list(e.T("help.commands"), func(*cobra.Command) bool { return true })
		return
	}
	for _, g := range cmd.Groups() {
		list(g.Title, func(c *cobra.Command) bool { return c.GroupID == g.ID })
	}
	if !cmd.AllChildCommandsHaveGroup() {
		list(e.T("help.more-commands"), func(c *cobra.Command) bool { return c.GroupID == "" })
	}
}

// flagUsages lists flags, aligned. In English it is pflag's own list.
func (e *env) flagUsages(flags *pflag.FlagSet) string {
	if e.Lang == text.En {
		return strings.TrimRight(flags.FlagUsages(), " \n")
	}
	var names, usages []string
	width := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "      --" + f.Name
		if f.Shorthand != "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + e.Word(value)
		}
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.DefValue != "0" {
			usage += e.T("help.default", f.DefValue)
		}
		names, usages = append(names, name), append(usages, usage)
		width = max(width, text.Width(name))
	})
	var b strings.Builder
	for i, name := range names {
		fmt.Fprintf(&b, "%s%s   %s\n", name, strings.Repeat(" ", width-text.Width(name)), usages[i])
	}
	return strings.TrimRight(b.String(), "\n")
}

// title is a text of a manifest in the run's language, where it has one there.
func (e *env) title(t vocabulary.Text) string {
	if e.Lang == text.Zh && t.Zh != "" {
		return t.Zh
	}
	return t.En
}

// words are words of the vocabulary as a list.
func (e *env) words(list []string) string {
	said := make([]string, len(list))
	for i, w := range list {
		said[i] = e.Word(w)
	}
	return strings.Join(said, ", ")
}

// reason is why a gateway refuses, with the code that it is known by.
func (e *env) reason(code string) string {
	if said := server.Message(ledger.Reason(code), "zh-CN"); said != "" && e.Lang == text.Zh {
		return said + " " + code
	}
	return code
}
