package oprf

import (
	"testing"

	"pgregory.net/rapid"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		field, normal string
		steps         []string
	}{
		{"A1", "A1", nil},
		{" a1 ", "A1", []string{StepUpper, StepSpace}},
		{"ａ１", "A1", []string{StepForm, StepUpper}},
		{"\ufeff91310000ma1fl5xw2j", "91310000MA1FL5XW2J", []string{StepDrop, StepUpper}},
		{"王\u3000小明", "王 小明", []string{StepForm}},
		{"A  B", "A B", []string{StepSpace}},
	} {
		steps, normal, err := Explain(RuleText, c.field)
		if err != nil || normal != c.normal || len(steps) != len(c.steps) {
			t.Errorf("%q: %q, %v, %v", c.field, normal, steps, err)
			continue
		}
		for i, s := range steps {
			if s.Name != c.steps[i] {
				t.Errorf("%q: step %d is %s, want %s", c.field, i, s.Name, c.steps[i])
			}
		}
	}
}

// Whatever the field, the explanation ends where Normalise does, each step
// begins where the one before ended, and both refuse the same.
func TestExplanationIsTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\u00ad", "ß ", "ǆ", "\u0000", "１ ２", "\xff"})).Draw(t, "field")
		want, wantErr := Normalise(RuleText, field)
		steps, got, err := Explain(RuleText, field)
		if (err == nil) != (wantErr == nil) || got != want {
			t.Fatalf("%q: explained %q, %v; normalised %q, %v", field, got, err, want, wantErr)
		}
		at := field
		for _, s := range steps {
			if s.Before != at || s.Before == s.After {
				t.Fatalf("%q: step %+v after %q", field, s, at)
			}
			at = s.After
		}
		if err == nil && at != want {
			t.Fatalf("%q: steps end at %q, not %q", field, at, want)
		}
	})
}

func TestLookalikes(t *testing.T) {
	for _, c := range []struct {
		given string
		want  []Lookalike
	}{
		{"91310000MA1FK5XW2J", nil},
		{"МA1", []Lookalike{{0, 'М', 'M'}}},
		{"9131OOOO", []Lookalike{{4, 'O', '0'}, {5, 'O', '0'}, {6, 'O', '0'}, {7, 'O', '0'}}},
		{"OSLO", nil},
		{"OFFICE 10", nil},
		{"MA0I2", []Lookalike{{3, 'I', '1'}}},
		{"阿•买买提", []Lookalike{{1, '•', '·'}}},
		{"\ue000", []Lookalike{{0, '\ue000', 0}}},
	} {
		_, normal, err := Explain(RuleText, c.given)
		if err != nil {
			t.Fatal(err)
		}
		got := Lookalikes(normal)
		if len(got) != len(c.want) {
			t.Errorf("%q: %v, want %v", c.given, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: %v, want %v", c.given, got[i], c.want[i])
			}
		}
	}
	for is := range lookalikes {
		if _, normal, err := Explain(RuleText, string(is)); err != nil || normal != string(is) {
			t.Errorf("%q is normalised to %q (%v): it need not be listed", is, normal, err)
		}
	}
}
