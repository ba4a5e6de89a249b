package lookup

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/oprf"
)

// basePoint is the canonical encoding of ristretto255's generator.
const basePoint = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"

func sampleDescriptor(t testing.TB) *Descriptor {
	t.Helper()
	shape, err := NewParams(10240, 6144)
	if err != nil {
		t.Fatal(err)
	}
	d := &Descriptor{
		V: DescriptorVersion, Product: "licence-sector", Document: "sha256:" + strings.Repeat("0f", 32), Answer: AnswerLabel, Epoch: 2, Version: 3, Population: 1_000_000,
		Encoding: Encoding{Rule: oprf.RuleText, Unicode: "15.0.0", Domain: "licence-sector/label", Fields: []string{"account"}},
		OPRF:     OPRFKey{Suite: SuiteRistretto255},
		Labels:   []string{"sector"}, LabelBytes: 32, Slots: 153, Salt: Hex32{1},
		Table:   Hex32(oprf.NewTableID("licence-sector", AnswerLabel, 2)),
		Lattice: newPublic(shape, Seeds{A: Hex32{1}, W: Hex32{2}, V: Hex32{3}}, [32]byte{4}, [32]byte{5}),
	}
	if err := d.OPRF.Key.UnmarshalText([]byte(basePoint)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDescriptorRoundTrip(t *testing.T) {
	want, err := sampleDescriptor(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	d, err := DecodeDescriptor(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Encode()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("decoded and encoded again: %v\n%s\n%s", err, got, want)
	}
}

// What a descriptor promises is checked where it is read, field by field.
func TestDescriptorRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Descriptor){
		"another version":                func(d *Descriptor) { d.V = 2 },
		"no product":                     func(d *Descriptor) { d.Product = "" },
		"an answer of another kind":      func(d *Descriptor) { d.Answer = "score" },
		"epoch 0":                        func(d *Descriptor) { d.Epoch = 0 },
		"version 0":                      func(d *Descriptor) { d.Version = 0 },
		"more records than slots":        func(d *Descriptor) { d.Population = 10240*153 + 1 },
		"a negative population":          func(d *Descriptor) { d.Population = -1 },
		"another product's domain":       func(d *Descriptor) { d.Encoding.Domain = "other/label" },
		"no fields":                      func(d *Descriptor) { d.Encoding.Fields = nil },
		"too many fields":                func(d *Descriptor) { d.Encoding.Fields = make([]string, MaxFields+1) },
		"a field that is no column":      func(d *Descriptor) { d.Encoding.Fields = []string{"Account"} },
		"a rule with a space":            func(d *Descriptor) { d.Encoding.Rule = "text v1" },
		"another suite":                  func(d *Descriptor) { d.OPRF.Suite = "P256-SHA256" },
		"the identity as OPRF key":       func(d *Descriptor) { d.OPRF.Key = Hex32{} },
		"an OPRF key that is no element": func(d *Descriptor) { d.OPRF.Key = Hex32{0xff} },
		"a label of 65 bytes":            func(d *Descriptor) { d.LabelBytes = 65 },
		"a label of no bytes":            func(d *Descriptor) { d.LabelBytes = 0 },
		"no labels":                      func(d *Descriptor) { d.Labels = nil },
		"labels of a bit": func(d *Descriptor) {
			d.Answer, d.Encoding.Domain = AnswerEquals, "licence-sector/equals"
			d.Table = Hex32(oprf.NewTableID("licence-sector", AnswerEquals, 2))
		},
		"another epoch's table id":    func(d *Descriptor) { d.Table = Hex32(oprf.NewTableID("licence-sector", AnswerLabel, 1)) },
		"slots of another layout":     func(d *Descriptor) { d.Slots++ },
		"two sub-tables":              func(d *Descriptor) { d.Lattice.SubTables = 2 },
		"a table digest that is none": func(d *Descriptor) { d.Lattice.Table = "sha256:00" },
	} {
		t.Run(name, func(t *testing.T) {
			d := sampleDescriptor(t)
			spoil(d)
			if _, err := d.Encode(); !errors.Is(err, ErrDescriptor) {
				t.Errorf("got %v, want ErrDescriptor", err)
			}
		})
	}
}

// One descriptor, one spelling: its digest is the digest of its meaning.
func TestDecodeDescriptorRefusesOtherSpellings(t *testing.T) {
	b, err := sampleDescriptor(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for name, other := range map[string]string{
		"a space":           strings.Replace(s, `"v":1`, `"v": 1`, 1),
		"an unknown field":  strings.Replace(s, `"v":1`, `"v":1,"w":1`, 1),
		"a repeated field":  strings.Replace(s, `"v":1`, `"v":1,"v":1`, 1),
		"another case":      strings.Replace(s, `"v":1`, `"V":1`, 1),
		"trailing data":     s + "{}",
		"upper-case hex":    strings.Replace(s, "e2f2ae", "E2F2AE", 1),
		"too large":         s + strings.Repeat(" ", MaxDescriptor),
		"nothing":           "",
		"another JSON type": `[]`,
	} {
		if _, err := DecodeDescriptor([]byte(other)); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: got %v, want ErrDescriptor", name, err)
		}
	}
}

// The shape that ParamsFor chooses has the slots that compute/oprf fills.
func TestSlotsAgreeWithTheColumnLayout(t *testing.T) {
	for labelBytes := range MaxLabelBytes + 1 {
		for rows := MinSide; rows <= MaxSide; rows += MinSide {
			if got, want := slotsOf(rows, labelBytes), (oprf.Layout{ColumnBytes: rows, LabelBytes: labelBytes}).Slots(); got != want {
				t.Fatalf("%d rows, labels of %d bytes: %d slots here, %d in compute/oprf", rows, labelBytes, got, want)
			}
		}
	}
}

func TestLabelRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune(`abz09 -é中`)), 0, 8, 12), 1, 4).Draw(t, "fields")
		label, err := EncodeLabel(fields, MaxLabelBytes)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeLabel(label, len(fields))
		if err != nil || strings.Join(got, "|") != strings.Join(fields, "|") {
			t.Fatalf("%q came back as %q, %v", fields, got, err)
		}
	})
}

func TestLabelRefuses(t *testing.T) {
	for name, fields := range map[string][]string{
		"a tab, which would make two fields": {"a\tb"},
		"a NUL, which pads":                  {"a\x00"},
		"a line break":                       {"a\nb"},
		"text too long":                      {"123456789"},
		"what is not UTF-8":                  {"\xff"},
		"no fields":                          {},
	} {
		if _, err := EncodeLabel(fields, 8); !errors.Is(err, ErrLabel) {
			t.Errorf("%s: got %v, want ErrLabel", name, err)
		}
	}
	if _, err := DecodeLabel([]byte("a\tb\x00"), 1); !errors.Is(err, ErrLabel) {
		t.Errorf("two fields for one: got %v, want ErrLabel", err)
	}
	if _, err := DecodeLabel([]byte("a\x00b\x00"), 1); !errors.Is(err, ErrLabel) {
		t.Errorf("text after padding: got %v, want ErrLabel", err)
	}
}

func FuzzDecodeDescriptor(f *testing.F) {
	b, err := sampleDescriptor(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"lattice":{"columns":9223372036854775807,"rows":2048}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDescriptor(b)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("decoded, and encodes to %q, %v", again, err)
		}
	})
}

func FuzzDecodeLabel(f *testing.F) {
	f.Add([]byte("a\tb\x00\x00"), 2)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, label []byte, fields int) {
		parts, err := DecodeLabel(label, fields)
		if err != nil {
			return
		}
		again, err := EncodeLabel(parts, len(label))
		if err != nil || !bytes.Equal(again, label) {
			t.Errorf("decoded, and encodes to %q, %v", again, err)
		}
	})
}
