package ledger

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The export file (`yingbi log --export`, what an audit reads) is lines of JSON:
//
//	{"format":"yingbi-log/1","origin":"…"}
//	{"seq":0,"salt":"…","entry":{…}}        one per entry, entry in its canonical bytes
//	{"checkpoint":"…"}                      signed note, anywhere; the newest at the end
//
// Each line has exactly this shape, without spaces, and ends in a newline, so
// that the entry's bytes can be cut out as they were hashed. The reader judges
// the shape of lines only: whether an entry decodes, in which order they come
// and what they prove is for the audit to find and to name.
const (
	exportFormat = "yingbi-log/1"
	// MaxExportLine bounds a line, its newline included.
	MaxExportLine = 2 << 20
)

// ExportWriter writes an export file.
type ExportWriter struct{ w *bufio.Writer }

// NewExportWriter writes the first line.
func NewExportWriter(w io.Writer, origin string) (*ExportWriter, error) {
	if !isOrigin(origin) {
		return nil, fmt.Errorf("exporting the log: %w", &FieldError{"origin", "a log's origin"})
	}
	out := &ExportWriter{w: bufio.NewWriter(w)}
	return out, out.line(`{"format":"`+exportFormat+`","origin":"`, origin, `"}`) // an origin has nothing to escape
}

// Entry writes an entry with the salt of its record. The bytes are not checked
// beyond their length: an export shows what the log holds.
func (w *ExportWriter) Entry(seq int64, salt [SaltSize]byte, entry []byte) error {
	if len(entry) > MaxEntry || bytes.IndexByte(entry, '\n') >= 0 || seq < 0 {
		return fmt.Errorf("exporting entry %d: %w: not an entry's bytes", seq, ErrMalformed)
	}
	return w.line(`{"seq":`, strconv.FormatInt(seq, 10), `,"salt":"`,
		base64.StdEncoding.EncodeToString(salt[:]), `","entry":`, string(entry), `}`)
}

// Checkpoint writes a signed checkpoint.
func (w *ExportWriter) Checkpoint(msg []byte) error {
	text, err := appendString(nil, string(msg))
	if err != nil || len(msg) > MaxCheckpoint {
		return fmt.Errorf("exporting a checkpoint: %w: more than %d bytes, or not UTF-8", ErrMalformed, MaxCheckpoint)
	}
	return w.line(`{"checkpoint":`, string(text), `}`)
}

// Flush writes what is buffered. A file without it is cut off, and its reader
// says so.
func (w *ExportWriter) Flush() error {
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("exporting the log: %w", err)
	}
	return nil
}

func (w *ExportWriter) line(parts ...string) error {
	for _, part := range append(parts, "\n") {
		if _, err := w.w.WriteString(part); err != nil {
			return fmt.Errorf("exporting the log: %w", err)
		}
	}
	return nil
}

// ExportLine is an entry with its salt or, where Checkpoint is not nil, a signed
// checkpoint. Its slices are the caller's to keep.
type ExportLine struct {
	Line       int // in the file, from 1
	Seq        int64
	Salt       [SaltSize]byte
	Entry      []byte
	Checkpoint []byte
}

// ExportReader reads an export file line by line, in bounded memory.
type ExportReader struct {
	r      *bufio.Reader
	origin string
	line   int
}

// NewExportReader reads the first line.
func NewExportReader(r io.Reader) (*ExportReader, error) {
	in := &ExportReader{r: bufio.NewReaderSize(r, 64<<10)}
	text, err := in.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a log export: %w: the file is empty", ErrMalformed)
	}
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(text, []byte(`{"format":"`+exportFormat+`","origin":`))
	value, closed := bytes.CutSuffix(rest, []byte(`}`))
	origin, err := unquote(value)
	if !ok || !closed || err != nil || !isOrigin(origin) {
		return nil, in.fault(`not an export of this format, whose first line is {"format":"` + exportFormat + `","origin":"…"}`)
	}
	in.origin = origin
	return in, nil
}

// Origin is the log's name, as the file has it: nothing vouches for it but the
// checkpoints.
func (r *ExportReader) Origin() string { return r.origin }

// Next returns the next line, or io.EOF after the last.
func (r *ExportReader) Next() (ExportLine, error) {
	text, err := r.next()
	if err != nil {
		return ExportLine{}, err
	}
	if value, ok := bytes.CutPrefix(text, []byte(`{"checkpoint":`)); ok {
		value, closed := bytes.CutSuffix(value, []byte(`}`))
		msg, err := unquote(value)
		if !closed || err != nil || len(msg) > MaxCheckpoint {
			return ExportLine{}, r.fault("not a checkpoint line")
		}
		return ExportLine{Line: r.line, Checkpoint: []byte(msg)}, nil
	}
	line, ok := parseEntryLine(text)
	if !ok {
		return ExportLine{}, r.fault(`neither {"seq":…,"salt":"…","entry":{…}} nor {"checkpoint":"…"}, without spaces`)
	}
	line.Line = r.line
	return line, nil
}

func parseEntryLine(text []byte) (ExportLine, bool) {
	rest, ok1 := bytes.CutPrefix(text, []byte(`{"seq":`))
	number, rest, ok2 := bytes.Cut(rest, []byte(`,"salt":"`))
	salt64, rest, ok3 := bytes.Cut(rest, []byte(`","entry":`))
	entry, ok4 := bytes.CutSuffix(rest, []byte(`}`))
	if !ok1 || !ok2 || !ok3 || !ok4 || len(entry) > MaxEntry {
		return ExportLine{}, false
	}
	seq, err1 := parseIndex(string(number))
	salt, err2 := parseHash(string(salt64)) // as long as a hash, and as strict
	if err1 != nil || err2 != nil {
		return ExportLine{}, false
	}
	return ExportLine{Seq: seq, Salt: salt, Entry: entry}, true
}

// next reads a line of at most MaxExportLine bytes into memory of its own.
func (r *ExportReader) next() ([]byte, error) {
	r.line++
	var text []byte
	for {
		part, err := r.r.ReadSlice('\n')
		if len(text)+len(part) > MaxExportLine {
			return nil, fmt.Errorf("reading a log export: line %d: %w: more than %d bytes", r.line, ErrTooLarge, MaxExportLine)
		}
		text = append(text, part...)
		switch {
		case err == nil:
			return text[:len(text)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(text) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, r.fault("the file is cut off: the line does not end")
		default:
			return nil, fmt.Errorf("reading a log export: line %d: %w", r.line, err)
		}
	}
}

func (r *ExportReader) fault(what string) error {
	return fmt.Errorf("reading a log export: line %d: %w: %s", r.line, ErrMalformed, what)
}

// unquote reads a JSON string in its canonical form.
func unquote(b []byte) (string, error) {
	if len(b) == 0 || b[0] != '"' || checkCanonical(b) != nil {
		return "", ErrMalformed
	}
	return unescape(b[1 : len(b)-1]), nil
}
