// Command yingbi 影壁 is a privacy-preserving compute gateway: the operator's
// domain and server, the enterprise's client, and the auditor's verifier.
//
// Output rules: results go to standard output, everything about them
// (progress, hints, warnings, errors) to standard error. Exit status 0 is
// success, 1 a failure or an audit's finding, 2 a wrong use of the command or
// an audit that could not be done.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/yingbi/yingbi/cmd/internal/text"
)

// env is everything that a command takes from outside.
type env struct {
	// Lang is the language of the run; chosen, by its flag or its environment
	// and not by the locale.
	text.Lang
	chosen bool

	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	clock          func() time.Time
	// prompt asks a person for a secret; nil where there is nobody to ask.
	prompt func(question string) ([]byte, error)
	// watch sees a verify's progress, ready the address that serve listens on;
	// nil outside the demo.
	watch func(done, total int64)
	ready func(address string)
	// bars says that progress may be drawn on stderr.
	bars bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first signal ends the work, a second one the process
	e := &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, clock: time.Now,
		bars: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		e.prompt = func(question string) ([]byte, error) {
			fmt.Fprint(os.Stderr, question)
			defer fmt.Fprintln(os.Stderr)
			return term.ReadPassword(int(os.Stdin.Fd()))
		}
	}
	code := e.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a wrong use of a command: exit status 2. So is whatever goes
// wrong before a command runs.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usage(err error) error { return usageError{err} }

// unreadError is an audit that could not be done: it found nothing, and is not
// clean either. Exit status 2.
type unreadError struct{ err error }

func (u unreadError) Error() string { return u.err.Error() }
func (u unreadError) Unwrap() error { return u.err }

// errFinding ends a command that has already said what it found: exit status 1.
var errFinding = errors.New("finding")

// run runs one command line and returns its exit code.
func (e *env) run(ctx context.Context, args []string) int {
	e.chooseLanguage(args)
	root := e.root()
	running := whenRunning(root)
	root.SetArgs(args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errFinding) {
		return exitError
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && !isOwn(err) {
		e.note(e.T("error.interrupted"))
		return exitError
	}
	e.note(e.T("error.prefix", e.Plain(hinted(err))))
	var wrong usageError
	var unread unreadError
	switch {
	case errors.As(err, &wrong), !*running:
		e.note(e.T("error.usage-hint"))
		return exitUsage
	case errors.As(err, &unread):
		return exitUsage
	}
	return exitError
}

// isOwn says whether an error is a message of the command itself, which knows
// better what its interruption means.
func isOwn(err error) bool {
	_, ok := err.(*text.Error)
	return ok
}

// whenRunning says, once the command line is run, whether it got as far as a
// command: until then only its words can be wrong.
func whenRunning(cmd *cobra.Command) *bool {
	running := new(bool)
	var wrap func(*cobra.Command)
	wrap = func(cmd *cobra.Command) {
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				*running = true
				return run(cmd, args)
			}
		}
		for _, c := range cmd.Commands() {
			wrap(c)
		}
	}
	wrap(cmd)
	return running
}
