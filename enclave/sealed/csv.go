package sealed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// csvReader takes a CSV file (RFC 4180) apart into records: separated by
// commas, ended by LF or CRLF, with a leading byte order mark skipped. It is
// stricter than most, because what it would have to guess is a fault of the
// data: a quote within an unquoted field, anything but a comma or an end after
// a closing quote, a CR alone. It does not hold more than one record, and not
// more than maxRecord bytes of that.
//
// encoding/csv is not used because it has no bound on a record's length.
type csvReader struct {
	in     io.Reader
	digest hash.Hash
	bytes  int64
	chunk  []byte
	pos    int
	end    int
	line   int64 // of the next byte, from 1
	err    error
}

// syntax is what is wrong with a record as a whole.
type syntax int

const (
	syntaxOK         syntax = iota
	syntaxQuote             // a quote within an unquoted field
	syntaxAfterQuote        // something between a closing quote and the next comma
	syntaxOpen              // a quote that the file's end left open
	syntaxCR                // CR without LF
	syntaxLong              // a field or the record is too long
)

// record is one record. Its fields are valid until the next is read.
type record struct {
	line   int64 // where it begins
	buf    []byte
	ends   []int // of each field in buf
	count  int   // of fields, also of those beyond maxColumns
	fault  syntax
	at     int // the field of the fault
	quoted bool
}

func (r *record) field(i int) []byte {
	begin := 0
	if i > 0 {
		begin = r.ends[i-1]
	}
	return r.buf[begin:r.ends[i]]
}

// blank says that the record is an empty line.
func (r *record) blank() bool {
	return r.count == 1 && len(r.buf) == 0 && !r.quoted && r.fault == syntaxOK
}

func newCSVReader(in io.Reader) *csvReader {
	return &csvReader{in: in, digest: sha256.New(), chunk: make([]byte, 64<<10), line: 1}
}

// sum is the digest of all that was read, "sha256:" + hex.
func (r *csvReader) sum() string { return "sha256:" + hex.EncodeToString(r.digest.Sum(nil)) }

// fill reads on. It gives false at the file's end and on an error.
func (r *csvReader) fill() bool {
	if r.err != nil {
		return false
	}
	// A reader may give nothing once in a while, but not for ever.
	for range 100 {
		var n int
		n, r.err = r.in.Read(r.chunk)
		r.pos, r.end = 0, n
		r.bytes += int64(n)
		r.digest.Write(r.chunk[:n])
		if n > 0 {
			return true
		}
		if r.err != nil {
			return false
		}
	}
	r.err = io.ErrNoProgress
	return false
}

// peek gives the next byte without taking it.
func (r *csvReader) peek() (byte, bool) {
	if r.pos == r.end && !r.fill() {
		return 0, false
	}
	return r.chunk[r.pos], true
}

// skipBOM takes a UTF-8 byte order mark, and says whether the file begins with
// that of UTF-16 instead.
func (r *csvReader) skipBOM() (utf16 bool) {
	if r.pos == r.end && !r.fill() {
		return false
	}
	for r.end-r.pos < 3 && r.err == nil { // a reader may give single bytes
		var n int
		n, r.err = r.in.Read(r.chunk[r.end:])
		r.bytes += int64(n)
		r.digest.Write(r.chunk[r.end : r.end+n])
		r.end += n
	}
	b := r.chunk[r.pos:r.end]
	if len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff) {
		return true
	}
	if len(b) >= 3 && string(b[:3]) == "\xef\xbb\xbf" {
		r.pos += 3
	}
	return false
}

// state says where in a record the reader is.
type state int

const (
	atStart    state = iota // of a field
	inPlain                 // within an unquoted field
	inQuotes                // within a quoted field
	afterQuote              // after a quote within a quoted field: its end, or the first half of ""
	toLineEnd               // after a fault, until the line ends
)

// read reads the next record, or gives io.EOF, or the input's error.
func (r *csvReader) read(rec *record) error {
	*rec = record{line: r.line, buf: rec.buf[:0], ends: rec.ends[:0]}
	s := atStart
	for {
		c, ok := r.peek()
		if !ok {
			return r.atEnd(rec, s)
		}
		r.pos++
		if c == '\n' {
			r.line++
		}
		switch {
		case s == inQuotes:
			if c == '"' {
				s = afterQuote
			} else {
				rec.add(c)
			}
			continue
		case s == afterQuote && c == '"':
			rec.add(c)
			s = inQuotes
			continue
		case c == '\n':
			rec.endField()
			return nil
		case c == '\r':
			if next, ok := r.peek(); ok && next == '\n' {
				continue
			}
			s = rec.flaw(syntaxCR)
		case s == toLineEnd:
		case c == ',':
			rec.endField()
			s = atStart
		case s == afterQuote:
			s = rec.flaw(syntaxAfterQuote)
		case c == '"' && s == atStart:
			rec.quoted = true
			s = inQuotes
		case c == '"':
			s = rec.flaw(syntaxQuote)
		default:
			rec.add(c)
			s = inPlain
		}
	}
}

// atEnd ends the record that the input ended in.
func (r *csvReader) atEnd(rec *record, s state) error {
	if r.err != io.EOF {
		return r.err
	}
	if s == atStart && rec.count == 0 {
		return io.EOF
	}
	if s == inQuotes {
		rec.flaw(syntaxOpen)
	}
	rec.endField()
	return nil
}

func (rec *record) add(c byte) {
	begin := 0
	if len(rec.ends) > 0 {
		begin = rec.ends[len(rec.ends)-1]
	}
	if len(rec.buf) >= maxRecord || len(rec.buf)-begin >= maxField {
		rec.flaw(syntaxLong)
		return // not kept, but the record goes on to its end
	}
	if rec.fault == syntaxOK {
		rec.buf = append(rec.buf, c)
	}
}

// flaw notes the record's first fault.
func (rec *record) flaw(f syntax) state {
	if rec.fault == syntaxOK {
		rec.fault, rec.at = f, rec.count
	}
	return toLineEnd
}

func (rec *record) endField() {
	if rec.count++; rec.count <= maxColumns {
		rec.ends = append(rec.ends, len(rec.buf))
	}
}

// contextReader ends a long read when the context does.
type contextReader struct {
	ctx      context.Context
	in       io.Reader
	read     int64
	progress func(bytes int64)
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(p)
	r.read += int64(n)
	if r.progress != nil {
		r.progress(r.read)
	}
	return n, err
}
