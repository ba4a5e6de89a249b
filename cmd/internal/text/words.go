package text

import (
	_ "embed"
	"fmt"
	"sync"

	ptext "github.com/jedib0t/go-pretty/v6/text"
)

//go:embed words.zh.json
var wordsJSON []byte

var words = sync.OnceValue(func() map[string]string { return load(wordsJSON) })

// Word is a word of the vocabulary, such as a purpose, a basis of a price or a
// state, as people of the language say it. What a person has to type (ids,
// reason codes) stays as it is typed.
func (l Lang) Word(w any) string {
	s := fmt.Sprint(w)
	if zh, ok := words()[s]; ok && l == Zh {
		return zh
	}
	return s
}

// Width is how many cells of a terminal a text takes: a Chinese character
// takes two.
func Width(s string) int { return ptext.StringWidth(s) }

// Pad fills a text with spaces to a width in cells.
func Pad(s string, width int) string { return ptext.Pad(s, width, ' ') }
