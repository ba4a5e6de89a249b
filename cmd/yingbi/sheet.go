package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/sdk"
)

// sheet is the CSV that was read: all columns go through to the answers.
type sheet struct {
	header   []string
	rows     [][]string
	lines    []int // of each row, in the file
	subjects []sdk.Subject
	fields   []string // of a subject, the product's
}

// maxSheet bounds what is read into memory.
const maxSheet = 1 << 30

// readSheet reads the identifiers: the product's columns must be there, others
// are carried along and never leave the machine.
func (e *env) readSheet(path string, product *sdk.Product) (*sheet, error) {
	in := e.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, text.E("verify.read", err)
		}
		defer f.Close()
		in = f
	}
	return parseSheet(path, in, maxSheet, slices.Concat(product.Verify.Keys, product.Verify.Claims))
}

func parseSheet(path string, in io.Reader, limit int64, fields []string) (*sheet, error) {
	bounded := &io.LimitedReader{R: in, N: limit + 1}
	b := bufio.NewReader(bounded)
	if mark, _ := b.Peek(len(byteOrderMark)); bytes.Equal(mark, []byte(byteOrderMark)) {
		_, _ = b.Discard(len(byteOrderMark)) // just peeked at
	}
	r := csv.NewReader(b)
	header, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, text.E("verify.no-header", path, strings.Join(fields, ","))
	case err != nil:
		return nil, text.E("verify.csv", path, err)
	}
	at, err := columns(path, header, fields)
	if err != nil {
		return nil, err
	}
	s := &sheet{header: header, fields: fields}
	for {
		row, err := r.Read()
		if bounded.N <= 0 {
			return nil, text.E("verify.large", path, limit)
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, text.E("verify.csv", path, err)
		}
		line, _ := r.FieldPos(0)
		subject := make(sdk.Subject, len(fields))
		for i, name := range fields {
			subject[name] = row[at[i]]
		}
		s.rows, s.lines, s.subjects = append(s.rows, row), append(s.lines, line), append(s.subjects, subject)
	}
	if len(s.rows) == 0 {
		return nil, text.E("verify.empty", path)
	}
	return s, nil
}

// byteOrderMark is what spreadsheets write before UTF-8.
const byteOrderMark = "\ufeff"

// columns finds each field in the header, once.
func columns(path string, header, fields []string) ([]int, error) {
	at := make([]int, len(fields))
	for i, name := range fields {
		at[i] = slices.Index(header, name)
		if at[i] < 0 {
			return nil, text.E("verify.column", path, name, strings.Join(fields, ","), shorten(strings.Join(header, ",")))
		}
		if slices.Contains(header[at[i]+1:], name) {
			return nil, text.E("verify.column-twice", path, name)
		}
	}
	return at, nil
}

// shorten keeps what a file that is no sheet holds out of an error.
func shorten(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// repeated counts the rows that ask what an earlier row asks.
func (s *sheet) repeated() int {
	seen := make(map[string]bool, len(s.subjects))
	var key strings.Builder
	for _, subject := range s.subjects {
		key.Reset()
		for _, f := range s.fields {
			fmt.Fprintf(&key, "%d:%s", len(subject[f]), subject[f])
		}
		seen[key.String()] = true
	}
	return len(s.subjects) - len(seen)
}

const shownFaults = 10

func (e *env) reportMalformed(s *sheet, malformed *sdk.SubjectError) error {
	for i, f := range malformed.Faults {
		if i == shownFaults {
			e.note(e.T("verify.malformed-more", len(malformed.Faults)-shownFaults))
			break
		}
		e.note(e.T("verify.malformed", s.lines[f.Index], f.Field, e.faultText(f.Err, s.subjects[f.Index][f.Field])))
	}
	return text.E("verify.malformed-sum", len(malformed.Faults))
}

// faultText says what is wrong with a value to somebody who has a sheet.
func (e *env) faultText(err error, value string) string {
	switch {
	case errors.Is(err, oprf.ErrBlank):
		return e.T("verify.fault-blank")
	case !utf8.ValidString(value):
		return e.T("verify.fault-utf8")
	}
	return e.Err(err)
}

// checkPlace finds out, before anything is paid or logged, that a file can be
// written to path.
func checkPlace(path string) error {
	if path == "-" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return text.E("error.not-a-file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".answers-*")
	if err != nil {
		return text.E("error.no-place", err)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return text.E("error.no-place", err)
	}
	return nil
}

// writeWhole writes a file for others to read, whole or not at all.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// writeSheet writes the rows with their answers: a file whole or not at all.
func (e *env) writeSheet(path string, product *sdk.Product, s *sheet, result *sdk.Result) error {
	if path == "-" {
		if err := writeAnswers(e.stdout, product, s, result); err != nil {
			return text.E("verify.write", err)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".answers-*")
	if err != nil {
		return text.E("verify.write", err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(writeAnswers(f, product, s, result), f.Sync(), f.Close()); err != nil {
		return text.E("verify.write", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return text.E("verify.write", err)
	}
	return nil
}

// What is written in a sheet is read by programs too: it is the same in every
// language.
const (
	answerColumn = "answer"
	answerYes    = "yes"
	answerNo     = "no"
)

func writeAnswers(out io.Writer, product *sdk.Product, s *sheet, result *sdk.Result) error {
	header := slices.Concat(s.header, []string{answerColumn})
	for _, l := range product.Verify.Labels {
		header = append(header, answerColumn+"_"+l.Column)
	}
	w := csv.NewWriter(out)
	_ = w.Write(header) // errors stay with w
	for i, row := range s.rows {
		a := result.Answers[i]
		cells := slices.Concat(row, []string{answerText(a)})
		for _, l := range product.Verify.Labels {
			cells = append(cells, a.Labels[l.Column])
		}
		_ = w.Write(cells)
	}
	w.Flush()
	return w.Error()
}

func answerText(a sdk.Answer) string {
	switch {
	case !a.Done:
		return ""
	case a.Found:
		return answerYes
	}
	return answerNo
}
