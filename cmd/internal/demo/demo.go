// Package demo tells yingbi's story in a domain of its own: from an empty
// folder to an audited, priced, private answer, and an audit that catches a
// forged ledger.
//
// Every step runs the command line that it prints, in this process, and is
// held to what should come of it: the first step that deviates ends the demo
// with an error. Nothing is simulated: keys, TLS, ciphertexts, the database
// and the ledger are what an operator would have.
package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/policy/fees"
)

// Command is one run of the command line.
type Command struct {
	Args   []string
	Stdout io.Writer
	Stderr io.Writer
	// Watch is called with every progress of a verify; nil for none.
	Watch func(done, total int64)
	// Ready is called with the address once serve listens; nil for none.
	Ready func(address string)
}

// Options are what the demo is told.
type Options struct {
	text.Lang
	Run     func(ctx context.Context, c Command) int // runs a command line, returns its exit code
	Out     io.Writer                                // where the story goes
	Clock   func() time.Time
	Keep    string // folder to leave the domain in; empty: a temporary one, removed
	Records int    // 0: the real licences; else a synthetic table of so many

	Aggregate bool // the story of the statistics instead
}

// story is a demo under way.
type story struct {
	Options
	dir     string
	step    int
	began   time.Time
	figures []figure
	table   truth
	counts  comparison // licences by sector and ownership
	rates   comparison // default rates
	gateway string     // address
}

// figure is one measured number for the closing table.
type figure struct{ what, value string }

// cst is China Standard Time, in which months are billed.
var cst = fees.CST

// ErrDeviates is under the error of a step whose outcome is not the promised one.
var ErrDeviates = errors.New("the demo deviates from its story")

// Run tells the story.
func Run(ctx context.Context, o Options) (err error) {
	o.Out = &shared{w: o.Out}
	s := &story{Options: o, began: o.Clock()}
	fmt.Fprintln(s.Out, s.T("demo.first-line"))
	if o.Keep != "" {
		if s.dir, err = filepath.Abs(o.Keep); err == nil {
			err = emptyDir(s.dir)
		}
	} else {
		s.dir, err = os.MkdirTemp("", "yingbi-demo-")
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	if err != nil {
		return fmt.Errorf("make the demo's folder: %w", err)
	}
	fmt.Fprintln(s.Out, s.T("demo.folder", s.dir))
	if err := s.writeSample(); err != nil {
		return err
	}
	tell := s.tell
	if s.Aggregate {
		tell = s.tellAggregate
	}
	if err := tell(ctx); ctx.Err() != nil {
		return text.E("demo.interrupted", ctx.Err()) // whatever the step under way made of it
	} else if err != nil {
		return err
	}
	s.closing()
	return nil
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return text.E("demo.keep-not-empty", dir)
	}
	return err
}

// tell runs the acts in order.
func (s *story) tell(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		s.identities, s.domain, s.vocabulary, s.data, s.publish,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	stop, err := s.serve(ctx)
	if err != nil {
		return err
	}
	err = s.enterprise(ctx)
	if serr := stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	return s.auditor(ctx)
}

// act prints a heading.
func (s *story) act(title string) {
	s.step++
	fmt.Fprintf(s.Out, "\n%s\n", s.T("demo.act", s.step, title))
}

// result is what a command gave.
type result struct {
	code        int
	out, errOut string
	took        time.Duration
}

// run prints a command line, runs it, prints what it said, and demands its
// exit code.
func (s *story) run(ctx context.Context, code int, line string) (result, error) {
	return s.runWith(ctx, code, line, Command{})
}

func (s *story) runWith(ctx context.Context, code int, line string, c Command) (result, error) {
	fmt.Fprintf(s.Out, "\n  $ yingbi %s\n", line)
	var out, errOut bytes.Buffer
	var mu sync.Mutex // a command's two streams end in one place
	shown := &indented{w: s.Out, dir: s.dir, mu: &mu}
	c.Args = s.args(line)
	c.Stdout, c.Stderr = io.MultiWriter(&out, shown), io.MultiWriter(&errOut, shown)
	began := s.Clock()
	r := result{code: s.Run(ctx, c)}
	r.out, r.errOut, r.took = out.String(), errOut.String(), s.Clock().Sub(began)
	if r.code != code {
		return r, fmt.Errorf("%w: yingbi %s ended with exit status %d, expected %d", ErrDeviates, line, r.code, code)
	}
	return r, ctx.Err()
}

// args splits a printed line and places it in the demo's folder: names of
// files are printed as a person in that folder would type them.
func (s *story) args(line string) []string {
	args := strings.Fields(line)
	for i, a := range args {
		file := a[strings.Index(a, "=")+1:] // CODE=FILE
		for _, place := range []string{"keys/", "domain", "sample/", "out/", "machine.key"} {
			if strings.HasPrefix(file, place) {
				args[i] = strings.TrimSuffix(a, file) + filepath.Join(s.dir, file)
			}
		}
	}
	return args
}

// expect ends the demo where a promise is not kept.
func expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDeviates, fmt.Sprintf(format, args...))
}

// point says what a step has shown.
func (s *story) point(sentence string) { fmt.Fprintf(s.Out, "  → %s\n", sentence) }

func (s *story) figure(what, format string, args ...any) {
	s.figures = append(s.figures, figure{what, fmt.Sprintf(format, args...)})
}

func (s *story) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// closing prints the figures and what was shown.
func (s *story) closing() {
	s.act(s.T("demo.closing"))
	for _, f := range s.figures {
		fmt.Fprintf(s.Out, "  %s %s\n", text.Pad(f.what, 46), f.value)
	}
	fmt.Fprintf(s.Out, "\n%s\n", s.T("demo.end", s.Clock().Sub(s.began).Seconds()))
	if s.Keep != "" {
		fmt.Fprintln(s.Out, s.T("demo.next-kept", s.dir))
	} else {
		fmt.Fprintln(s.Out, s.T("demo.next"))
	}
}

// shared lets the server, which runs beside the story, write where it is told.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// indented sets a command's output off from the story, line by line, with file
// names as a person in the demo's folder would see them.
type indented struct {
	w    io.Writer
	dir  string
	mu   *sync.Mutex
	line []byte // begun and not ended
}

func (i *indented) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.line = append(i.line, p...)
	for {
		end := bytes.IndexByte(i.line, '\n')
		if end < 0 {
			return len(p), nil
		}
		shown := strings.ReplaceAll(string(i.line[:end+1]), i.dir+string(filepath.Separator), "")
		i.line = i.line[end+1:]
		if _, err := io.WriteString(i.w, "    "+shown); err != nil {
			return len(p), err
		}
	}
}
