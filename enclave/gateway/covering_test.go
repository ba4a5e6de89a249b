package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// A grant that is not found covers nothing: only the sandbox goes without one.
func TestAGrantThatIsNotFoundCoversNothing(t *testing.T) {
	s := &world.Snapshot{World: admission.NewWorld()}
	j := &job{order: order{work: &selecting{}}, header: &ledger.Header{Enterprise: "e", Product: "p"}}
	left := covering(s, j, world.Version{Product: "p"}, time.Now(), []admission.Candidate{{Grant: "gone"}, {}})
	if len(left) != 1 || left[0].Grant != "" {
		t.Errorf("left: %+v", left)
	}
}

// An entitlement covers what lies within its codes, of which those count that are
// published. One of as many codes as there can be costs one look at each.
func TestCoveringManyCodes(t *testing.T) {
	axis := cells.Axis{Name: "zip", Column: "zip", Levels: []cells.Level{{Name: "zip3"}}}
	level := &axis.Levels[0]
	for i := range 1 << 16 {
		if i%1000 == 0 {
			level.Groups = append(level.Groups, fmt.Sprintf("%03d", i/1000))
		}
		axis.Codes, level.Of = append(axis.Codes, fmt.Sprintf("%06d", i)), append(level.Of, i/1000)
	}
	v := world.Version{Product: "p", Cells: &cells.Descriptor{Regime: cells.RegimePrivacy, Axes: []cells.Axis{axis},
		Groups:   []cells.Group{{By: []string{"zip"}, Measures: []int{0}, HalfWidths: []int64{9}}},
		Measures: []cells.Measure{{Name: "people", Is: cells.IsCount, Round: 1}}}}
	rest := append([]string{"gone"}, axis.Codes[1:]...)
	for _, c := range []struct {
		dimension string
		codes     []string
		query     cells.Query
		want      bool
	}{
		{"zip", rest, cells.Query{By: []string{"zip"}, Where: map[string][]string{"zip": {"000001"}}}, true},
		{"zip", rest, cells.Query{By: []string{"zip"}, Where: map[string][]string{"zip": {"000000"}}}, false},
		{"zip", rest, cells.Query{By: []string{"zip"}, Count: 1}, false}, // a page is of the whole
		{"zip", rest, cells.Query{By: []string{"zip3"}, Where: map[string][]string{"zip3": {"001"}}}, true},
		{"zip", rest, cells.Query{By: []string{"zip3"}, Where: map[string][]string{"zip3": {"000"}}}, false},
		{"zip", rest, cells.Query{}, false},
		{"zip", axis.Codes, cells.Query{}, true},
		{"zip3", []string{"001"}, cells.Query{By: []string{"zip"}, Where: map[string][]string{"zip": {"001999"}}}, true},
		{"zip3", []string{"001"}, cells.Query{By: []string{"zip"}, Where: map[string][]string{"zip": {"002000"}}}, false},
		{"zip", []string{"gone"}, cells.Query{By: []string{"zip"}, Where: map[string][]string{"zip": {"000001"}}}, false},
		{"town", rest, cells.Query{By: []string{"zip"}, Where: map[string][]string{"zip": {"000001"}}}, false},
	} {
		w := &selecting{query: &c.query}
		g := &vocabulary.Grant{Cells: []vocabulary.Entitlement{{Product: "p", Dimension: c.dimension, Codes: c.codes}}}
		if got := w.covers(g, v); got != c.want {
			t.Errorf("%d codes of %s, query %+v: covered %v, want %v", len(c.codes), c.dimension, c.query, got, c.want)
		}
	}
}
