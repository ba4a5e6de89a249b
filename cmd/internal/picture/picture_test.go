package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/cmd/internal/picture"
)

func grid() *picture.Grid {
	return &picture.Grid{
		Title: "Cells 单元", Rows: []string{"Construction", "餐饮"}, Columns: []string{"a", "b", "c"},
		Released: [][]bool{{true, false, true}, {true, true, false}},
		Values:   [][]float64{{1, 0, 100}, {0, 1000, 7}}, ReleasedWord: "released", SuppressedWord: "suppressed",
	}
}

// elements reads an SVG to its end and counts its elements by name and fill.
func elements(t *testing.T, svg []byte) (paths map[string]int, text string) {
	t.Helper()
	paths = map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return paths, text
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Local == "style" {
					for _, s := range strings.Split(a.Value, ";") {
						if fill, ok := strings.CutPrefix(s, "fill:"); ok {
							paths[fill]++
						}
					}
				}
			}
		case xml.CharData:
			text += string(token)
		}
	}
}

// A cell that is not released looks the same whatever it holds, and a released
// one does not.
func TestGridShowsStatusAndNothingOfSuppressedCells(t *testing.T) {
	draw := func(g *picture.Grid) []byte {
		var b bytes.Buffer
		if err := g.Draw(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	first := draw(grid())
	changed := grid()
	changed.Values[1][2], changed.Values[0][1] = 5000, 3
	if !bytes.Equal(first, draw(changed)) {
		t.Error("a suppressed cell's value changes the picture")
	}
	changed.Values[0][0] = 400
	if bytes.Equal(first, draw(changed)) {
		t.Error("a released cell's value does not change the picture")
	}
	paths, text := elements(t, first)
	if got := paths["#8A8A8A"]; got != 3 { // two cells and the legend
		t.Errorf("%d grey areas, expected 3: %v", got, paths)
	}
	for _, want := range []string{"Cells 单元", "Construction", "餐饮", "released", "suppressed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
}

func TestComparisonDrawsEveryPoint(t *testing.T) {
	c := &picture.Comparison{Title: "Truth against release", Truth: "truth", Released: "released",
		Points: []picture.Point{{Truth: 1, Released: 2, Low: 0, High: 4}, {Truth: 9, Released: 9, Low: 9, High: 9}, {Truth: 5, Released: 4, Low: 2, High: 6}}}
	var b bytes.Buffer
	if err := c.Draw(&b); err != nil {
		t.Fatal(err)
	}
	paths, text := elements(t, b.Bytes())
	if paths["#B84A1E"] != len(c.Points) || !strings.Contains(text, "Truth against release") {
		t.Errorf("areas %v, text %q", paths, text)
	}
}

func TestPicturesRefuseWhatCannotBeSeen(t *testing.T) {
	ragged := grid()
	ragged.Values[1] = ragged.Values[1][:2]
	for name, err := range map[string]error{
		"ragged":      ragged.Draw(io.Discard),
		"empty":       (&picture.Grid{}).Draw(io.Discard),
		"no points":   (&picture.Comparison{}).Draw(io.Discard),
		"many points": (&picture.Comparison{Points: make([]picture.Point, picture.MaxPoints+1)}).Draw(io.Discard),
	} {
		if !errors.Is(err, picture.ErrShape) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
