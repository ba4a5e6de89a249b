package release

import (
	"testing"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

func TestBands(t *testing.T) {
	below := func(name, bound string) vocabulary.Band { return vocabulary.Band{Name: name, Below: bound} }
	prefix := func(name, p string) vocabulary.Band { return vocabulary.Band{Name: name, Prefix: p} }
	none := "no band"
	for _, test := range []struct {
		name  string
		typ   string
		bands []vocabulary.Band
		want  map[string]string
	}{
		{"no bands answer the value", "string", nil, map[string]string{"a": "a", "": ""}},
		{"bounds are exclusive", "integer", []vocabulary.Band{below("low", "10"), below("middle", "20"), below("high", "")},
			map[string]string{"-5": "low", "9": "low", "10": "middle", "19": "middle", "20": "high", "1000000000000": "high"}},
		{"numbers compare as numbers", "number", []vocabulary.Band{below("low", "9.5"), below("high", "100")},
			map[string]string{"9.4999": "low", "9.50": "high", "1e+01": "high", "100": none, "1e+300": none, "-0": "low"}},
		{"dates", "date", []vocabulary.Band{below("before", "2020-01-01"), below("since", "")},
			map[string]string{"2019-12-31": "before", "2020-01-01": "since"}},
		{"prefixes, the first that fits", "string", []vocabulary.Band{prefix("made", "31"), prefix("made", "32"), prefix("trade", "4"), prefix("other", "")},
			map[string]string{"311": "made", "32": "made", "4": "trade", "5": "other", "": "other"}},
		{"no band takes the rest", "string", []vocabulary.Band{prefix("a", "a")}, map[string]string{"ab": "a", "b": none}},
	} {
		b, err := newBander(vocabulary.Label{Column: "c", Bands: test.bands}, vocabulary.Column{Name: "c", Type: test.typ})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for value, want := range test.want {
			got, err := b.text(value, false)
			if err != nil {
				got = none
			}
			if got != want {
				t.Errorf("%s: %q is answered as %q, want %q", test.name, value, got, want)
			}
		}
		if got, err := b.text("", true); got != "" || err != nil {
			t.Errorf("%s: an absent value is answered as %q, %v", test.name, got, err)
		}
	}
}
