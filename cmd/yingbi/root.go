package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	ptext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave/keyring"
)

// root builds the command tree anew: commands keep nothing between runs.
func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "yingbi",
		Short:         e.T("root.short"),
		Long:          e.T("root.long"),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		Args: cobra.NoArgs,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: "start", Title: e.T("group.start")},
		&cobra.Group{ID: "operator", Title: e.T("group.operator")},
		&cobra.Group{ID: "enterprise", Title: e.T("group.enterprise")},
		&cobra.Group{ID: "auditor", Title: e.T("group.auditor")},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("start", e.demoCommand(), e.identityCommand(), e.approveCommand())
	add("operator", e.initCommand(), e.applyCommand(), e.importCommand(), e.reviewCommand(), e.publishCommand(),
		e.suspendCommand(), e.resumeCommand(), e.withdrawCommand(), e.revokeCommand(), e.serveCommand(), e.backupCommand(), e.restoreCommand(),
		e.keyringCommand(), e.rotateCommand(), e.shredCommand(), e.traceCommand(), e.doctorCommand())
	add("enterprise", e.productsCommand(), e.quoteCommand(), e.normaliseCommand(), e.verifyCommand(), e.cellsCommand(), e.receiptCommand(), e.explainCommand(), e.agentCommand())
	add("auditor", e.logCommand(), e.auditCommand(), e.statementCommand())
	e.explainArgs(root)
	e.localise(root)
	return root
}

// explainArgs adds to a complaint about arguments how the command is used.
func (e *env) explainArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				if cmd.HasSubCommands() {
					return unknownCommand(cmd, args[0])
				}
				return text.E("error.arguments", len(args), e.useLine(cmd))
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		e.explainArgs(c)
	}
}

// unknownCommand is the error for a word that is none of a command's own.
func unknownCommand(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return text.E("error.unknown-command-near", cmd.CommandPath(), word, near[0])
	}
	return text.E("error.unknown-command", cmd.CommandPath(), word, cmd.CommandPath())
}

// domainFlags are the flags of every command that opens a domain.
type domainFlags struct {
	dir, passphraseFile, machineKey string
}

func (f *domainFlags) bind(cmd *cobra.Command, e *env) {
	f.bindDir(cmd, e)
	f.bindUnlock(cmd, e)
}

func (f *domainFlags) bindDir(cmd *cobra.Command, e *env) {
	fallback := e.getenv("YINGBI_DOMAIN")
	if fallback == "" {
		fallback = "."
	}
	cmd.Flags().StringVarP(&f.dir, "domain", "d", fallback, e.T("flag.domain"))
}

func (f *domainFlags) bindUnlock(cmd *cobra.Command, e *env) {
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", e.getenv("YINGBI_PASSPHRASE_FILE"), e.T("flag.passphrase-file"))
	cmd.Flags().StringVar(&f.machineKey, "machine-key", e.getenv("YINGBI_MACHINE_KEY"), e.T("flag.machine-key"))
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "machine-key")
}

const maxPassphrase = 1024

// unlock finds the one source of the keyring's secret: a machine key, a file,
// the environment, a prompt. What a flag names goes before what the environment
// does. New asks twice.
func (f *domainFlags) unlock(e *env, isNew bool) (keyring.Unlock, error) {
	file := f.passphraseFile != "" && f.passphraseFile != e.getenv("YINGBI_PASSPHRASE_FILE")
	if f.machineKey != "" && !file {
		return keyring.MachineKey(f.machineKey), nil
	}
	pass, err := f.passphrase(e, isNew)
	if err != nil {
		return keyring.Unlock{}, err
	}
	defer clear(pass)
	if len(pass) == 0 {
		return keyring.Unlock{}, text.E("passphrase.empty")
	}
	return keyring.Passphrase(pass), nil
}

func (f *domainFlags) passphrase(e *env, isNew bool) ([]byte, error) {
	switch {
	case f.passphraseFile != "":
		file, err := os.Open(f.passphraseFile)
		if err != nil {
			return nil, text.E("passphrase.file", err)
		}
		defer file.Close()
		b, err := io.ReadAll(io.LimitReader(file, maxPassphrase+1))
		if err != nil {
			clear(b)
			return nil, text.E("passphrase.file", err)
		}
		if len(b) > maxPassphrase {
			clear(b)
			return nil, text.E("passphrase.file-size", f.passphraseFile, maxPassphrase)
		}
		return bytes.TrimRight(b, "\r\n"), nil
	case e.getenv("YINGBI_PASSPHRASE") != "":
		return []byte(e.getenv("YINGBI_PASSPHRASE")), nil
	case e.prompt == nil:
		return nil, text.E("passphrase.none")
	}
	pass, err := e.prompt(e.T("passphrase.prompt"))
	if err != nil {
		return nil, text.E("passphrase.read", err)
	}
	if isNew {
		again, err := e.prompt(e.T("passphrase.prompt-again"))
		defer clear(again)
		if err != nil {
			clear(pass)
			return nil, text.E("passphrase.read", err)
		}
		if !bytes.Equal(pass, again) {
			clear(pass)
			return nil, text.E("passphrase.differs")
		}
	}
	return pass, nil
}

// table writes rows under a header, aligned, without frames.
func (e *env) table(out io.Writer, header table.Row, rows []table.Row) {
	w := table.NewWriter()
	w.SetStyle(table.StyleDefault)
	w.Style().Options = table.OptionsNoBordersAndSeparators
	w.Style().Format.Header = ptext.FormatDefault
	w.Style().Box.PaddingLeft, w.Style().Box.PaddingRight = "", "  "
	w.AppendHeader(header)
	w.AppendRows(rows)
	for line := range strings.Lines(w.Render()) {
		fmt.Fprintln(out, printable(strings.TrimRight(line, " \n")))
	}
}

// progress draws a bar for a long piece of work; silent where nobody watches.
type progress struct {
	e     *env
	bar   *progressbar.ProgressBar
	stage string
}

// set moves the bar of a stage to done of total.
func (p *progress) set(stage string, done, total int64) {
	if p.e.watch != nil {
		p.e.watch(done, total)
	}
	if !p.e.bars {
		return
	}
	p.begin(stage, total)
	_ = p.bar.Set64(done) // drawing may fail; the work goes on
}

// begin draws the bar of a stage where nothing is done yet, from when its rate
// is counted.
func (p *progress) begin(stage string, total int64) {
	if p.e.bars && (p.bar == nil || p.stage != stage) {
		p.finish()
		p.stage = stage
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.e.stderr),
			progressbar.OptionSetDescription(text.Pad(p.e.Word(stage), 18)),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetWidth(28), progressbar.OptionClearOnFinish())
		_ = p.bar.RenderBlank()
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}

// note writes a sentence about the work, not its result.
func (e *env) note(s string) { fmt.Fprintln(e.stderr, printable(s)) }

// say writes a line of the result.
func (e *env) say(s string) { fmt.Fprintln(e.stdout, printable(s)) }

// printable takes out of a text what would drive a terminal: parts of it come
// from gateways, manifests and sheets.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// printJSON writes a result for programs.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// hinted adds what to do about what the system refuses any command.
func hinted(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return text.E("error.permission", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return text.E("error.disk-full", err)
	case errors.Is(err, syscall.EROFS):
		return text.E("error.disk-read-only", err)
	}
	return err
}
