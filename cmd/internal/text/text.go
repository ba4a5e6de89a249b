// Package text holds every sentence that the command line shows a person,
// each under a stable id, in one file per language; and, for the errors of the
// packages below, which are English, the Chinese of each of their formats.
//
// A message is a format in the manner of package fmt. An id that is missing
// from a language is a failing test, not a surprise at a user's terminal.
//
// The language is a value that a run of a command carries, not a state of the
// process: two runs side by side may speak differently. An [Error] is rendered
// when it is shown, in the language of who it is shown to.
package text

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// Lang is a language of messages. The zero value is English.
type Lang uint8

// The languages.
const (
	En Lang = iota // English
	Zh             // Chinese 中文
)

func (l Lang) String() string {
	if l == Zh {
		return "zh"
	}
	return "en"
}

// ParseLang reads en or zh.
func ParseLang(s string) (l Lang, ok bool) {
	switch s {
	case "en":
		return En, true
	case "zh":
		return Zh, true
	}
	return En, false
}

// FromLocale is the language that the environment asks for, in the order of
// POSIX: the first of LC_ALL, LC_MESSAGES and LANG that is set decides. A
// Chinese locale whose terminal is not in UTF-8 gets English, which it can
// show.
func FromLocale(getenv func(string) string) Lang {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		locale := strings.ToLower(getenv(name))
		if locale == "" {
			continue
		}
		language, charset, explicit := strings.Cut(locale, ".")
		utf8 := strings.HasPrefix(strings.ReplaceAll(charset, "-", ""), "utf8")
		if (language == "zh" || strings.HasPrefix(language, "zh_") || strings.HasPrefix(language, "zh-")) && (utf8 || !explicit) {
			return Zh
		}
		return En
	}
	return En
}

var (
	//go:embed en.json
	enJSON []byte
	//go:embed zh.json
	zhJSON []byte
)

var catalogues = [...]map[string]string{En: load(enJSON), Zh: load(zhJSON)}

func load(b []byte) map[string]string {
	m := map[string]string{}
	if err := json.Unmarshal(b, &m); err != nil {
		panic("text: an embedded catalogue is broken: " + err.Error())
	}
	return m
}

// T returns the message id, formatted with args; errors among them, and words
// of the vocabulary, in the same language. An id that nobody wrote shows
// itself, so that nothing is ever silent.
func (l Lang) T(id string, args ...any) string {
	format, ok := catalogues[l][id]
	if !ok {
		return fmt.Sprintf("[%s] %v", id, args)
	}
	if len(args) == 0 {
		return format
	}
	if l != En {
		translated := make([]any, len(args))
		for i, a := range args {
			translated[i] = l.argument(a)
		}
		args = translated
	}
	return fmt.Sprintf(format, args...)
}

// argument is what stands for an argument in a message that is not English.
func (l Lang) argument(a any) any {
	if err, ok := a.(error); ok {
		return l.Err(err)
	}
	return a
}

// Error is an error whose text is a message of the catalogue.
type Error struct {
	ID    string
	Args  []any
	Cause error
}

// E makes an Error. A cause among args is also what errors.Is and As see.
func E(id string, args ...any) *Error {
	e := &Error{ID: id, Args: args}
	for _, a := range args {
		if err, ok := a.(error); ok {
			e.Cause = err
		}
	}
	return e
}

// Error is the English text; [Lang.Err] renders it in another language.
func (e *Error) Error() string { return En.T(e.ID, e.Args...) }

// Unwrap returns the cause, if any.
func (e *Error) Unwrap() error { return e.Cause }
