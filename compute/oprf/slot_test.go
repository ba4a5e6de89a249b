package oprf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testStream is deterministic randomness: a test that fails names its seed.
func testStream(seed string) io.Reader {
	s := sha3.NewSHAKE256()
	io.WriteString(s, seed)
	return s
}

func testOutput(name string) *Output {
	o := new(Output)
	io.ReadFull(testStream("output "+name), o[:])
	return o
}

func testMembers(t testing.TB, n, labelBytes int, label func(i int) string) []Member {
	t.Helper()
	ms := make([]Member, n)
	for i := range ms {
		l, err := PadLabel(label(i), labelBytes)
		if err != nil {
			t.Fatal(err)
		}
		ms[i] = Member{testOutput(fmt.Sprint(i)), l}
	}
	return ms
}

var testTable = NewTableID("licence", "label", 1)

func TestLayout(t *testing.T) {
	for _, c := range []struct{ column, label, slots int }{
		{6144, 32, 153}, {20480, 32, 511}, {61440, 32, 1535}, {131072, 64, 1820}, // lookup's shapes
		{2048, 0, 254}, {16 + 8, 0, 1}, {16 + 40, 32, 1}, {16 + 79, 32, 1},
		{16 + 7, 0, 0}, {16 + 39, 32, 0}, {0, 0, 0}, {-1, 0, 0}, {6144, -1, 0}, {6144, 65, 0}, {1<<24 + 1, 0, 0},
	} {
		l := Layout{c.column, c.label}
		if got := l.Slots(); got != c.slots {
			t.Errorf("%+v has %d slots, want %d", l, got, c.slots)
		}
		if err := l.Validate(); (err == nil) != (c.slots > 0) || err != nil && !errors.Is(err, ErrLayout) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestFillAndFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Layout{LabelBytes: rapid.IntRange(0, MaxLabelBytes).Draw(t, "labelBytes")}
		l.ColumnBytes = rapid.IntRange(nonceBytes+l.slotBytes(), 4096).Draw(t, "columnBytes")
		n := rapid.IntRange(0, min(l.Slots(), 64)).Draw(t, "members")
		seed := rapid.String().Draw(t, "seed")
		ms := make([]Member, n)
		for i := range ms {
			ms[i] = Member{testOutput(seed + fmt.Sprint(i)), make([]byte, l.LabelBytes)}
			io.ReadFull(testStream(seed+"label"+fmt.Sprint(i)), ms[i].Label)
		}
		column := make([]byte, l.ColumnBytes)
		if err := l.Fill(column, testTable, ms, testStream(seed)); err != nil {
			t.Fatal(err)
		}
		for i, m := range ms {
			if label, found := l.Find(column, testTable, m.Output); !found || !bytes.Equal(label, m.Label) {
				t.Fatalf("member %d: found %v, label %x, want %x", i, found, label, m.Label)
			}
			if label, found := l.Find(column, NewTableID("licence", "label", 2), m.Output); found || !zero(label) {
				t.Fatalf("member %d found in another table", i)
			}
		}
		label, found := l.Find(column, testTable, testOutput(seed+"stranger"))
		if found || label == nil || len(label) != l.LabelBytes || !zero(label) {
			t.Fatalf("a stranger: found %v, label %x", found, label)
		}
	})
}

func zero(b []byte) bool { return bytes.Equal(b, make([]byte, len(b))) }

func TestFullColumn(t *testing.T) {
	l := Layout{6144, 32}
	ms := testMembers(t, l.Slots()+1, 32, func(i int) string { return fmt.Sprint("label ", i) })
	column := make([]byte, l.ColumnBytes)
	if err := l.Fill(column, testTable, ms, nil); !errors.Is(err, ErrColumnFull) || !zero(column) {
		t.Fatalf("one member too many: %v", err)
	}
	if err := l.Fill(column, testTable, ms[1:], nil); err != nil {
		t.Fatal(err)
	}
	for i, m := range ms[1:] {
		label, found := l.Find(column, testTable, m.Output)
		if text, err := TrimLabel(label); !found || err != nil || text != fmt.Sprint("label ", i+1) {
			t.Fatalf("member %d: %v %q %v", i+1, found, text, err)
		}
	}
}

func TestFillRefuses(t *testing.T) {
	l := Layout{6144, 4}
	ms := testMembers(t, 3, 4, func(int) string { return "a" })
	for _, c := range []struct {
		name    string
		layout  Layout
		size    int
		members []Member
		rand    io.Reader
		want    error
	}{
		{"layout", Layout{6144, 65}, 6144, nil, nil, ErrLayout},
		{"short column", l, 6143, ms, nil, ErrLayout},
		{"long column", l, 6145, ms, nil, ErrLayout},
		{"no output", l, 6144, []Member{{nil, ms[0].Label}}, nil, ErrLayout},
		{"short label", l, 6144, []Member{{ms[0].Output, []byte("abc")}}, nil, ErrLabel},
		{"long label", l, 6144, []Member{{ms[0].Output, []byte("abcde")}}, nil, ErrLabel},
		{"the same output twice", l, 6144, append(slices.Clone(ms), Member{testOutput("1"), ms[0].Label}), nil, ErrDuplicate},
		{"randomness runs dry", l, 6144, ms, io.LimitReader(testStream(""), 6150), io.ErrUnexpectedEOF},
		{"no randomness", l, 6144, ms, strings.NewReader(""), io.EOF},
	} {
		dst := make([]byte, c.size)
		if err := c.layout.Fill(dst, testTable, c.members, c.rand); !errors.Is(err, c.want) || !zero(dst) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if label, found := l.Find(make([]byte, 6143), testTable, ms[0].Output); label != nil || found {
		t.Error("Find in a column of another size")
	}
	if label, found := (Layout{6144, 65}).Find(make([]byte, 6144), testTable, ms[0].Output); label != nil || found {
		t.Error("Find with a layout that is not valid")
	}
}

// "A tag that occurs twice by chance is redrawn with the nonce": randomness is
// made up in which every empty slot begins with the member's tag, once and then
// for ever.
func TestFillRedrawsCollidingTags(t *testing.T) {
	l := Layout{256, 0}
	ms := testMembers(t, 1, 0, func(int) string { return "" })
	bad := make([]byte, l.ColumnBytes)
	io.ReadFull(testStream("bad"), bad[:nonceBytes])
	var keys slotKeys
	l.derive(&keys, &testTable, bad[:nonceBytes], ms[0].Output)
	for i := range l.Slots() {
		binary.BigEndian.PutUint64(l.slot(bad, i), keys.tag)
	}
	bad = append(bad, 1, 1, 1, 1) // the slot of the one member

	column := make([]byte, l.ColumnBytes)
	if err := l.Fill(column, testTable, ms, io.MultiReader(bytes.NewReader(bad), testStream("good"))); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(column[:nonceBytes], bad[:nonceBytes]) {
		t.Error("the nonce with colliding tags was kept")
	}
	if _, found := l.Find(column, testTable, ms[0].Output); !found {
		t.Error("the member is not found")
	}
	if err := l.Fill(column, testTable, ms, bytes.NewReader(bytes.Repeat(bad, 8))); err == nil || !zero(column) {
		t.Errorf("collisions for ever: %v", err)
	}
}

// The first match counts, if a table should hold two.
func TestFindTakesOneSlot(t *testing.T) {
	l := Layout{256, 8}
	ms := testMembers(t, 1, 8, func(int) string { return "good" })
	column := make([]byte, l.ColumnBytes)
	if err := l.Fill(column, testTable, ms, testStream("x")); err != nil {
		t.Fatal(err)
	}
	var from int
	var keys slotKeys
	l.derive(&keys, &testTable, column[:nonceBytes], ms[0].Output)
	for i := range l.Slots() {
		if binary.BigEndian.Uint64(l.slot(column, i)) == keys.tag {
			from = i
		}
	}
	copy(l.slot(column, l.Slots()-1), l.slot(column, from)[:tagBytes]) // same tag, other label
	first := l.slot(column, min(from, l.Slots()-1))[tagBytes:]
	label, found := l.Find(column, testTable, ms[0].Output)
	for i := range label {
		label[i] ^= keys.mask[i]
	}
	if !found || !bytes.Equal(label, first) {
		t.Fatalf("two slots match: %v, label %x, want the first slot's %x", found, label, first)
	}
}

// Two versions of a column, same members and labels: "whoever compares them"
// finds no relation between tags, masks or slots. Randomness is seeded, so the
// bounds below either hold or do not; they are those that would fail once in
// 10^9 runs or less.
func TestVersionsAreUnrelated(t *testing.T) {
	l := Layout{20480, 32}
	const n = 400
	ms := testMembers(t, n, 32, func(int) string { return "the same label for everyone" })
	var v [2][]byte
	var at [2][]int // slot of each member
	for i := range v {
		v[i] = make([]byte, l.ColumnBytes)
		if err := l.Fill(v[i], testTable, ms, testStream(fmt.Sprint("version ", i))); err != nil {
			t.Fatal(err)
		}
		var keys slotKeys
		for _, m := range ms {
			l.derive(&keys, &testTable, v[i][:nonceBytes], m.Output)
			for s := range l.Slots() {
				if binary.BigEndian.Uint64(l.slot(v[i], s)) == keys.tag {
					at[i] = append(at[i], s)
				}
			}
		}
		if len(at[i]) != n {
			t.Fatalf("version %d: %d slots carry a member's tag, want %d", i, len(at[i]), n)
		}
		randomBytes(t, fmt.Sprintf("version %d", i), v[i])
	}

	// No 8 bytes of one version occur anywhere in the other, or twice in one:
	// 2·20480² pairs of 64 bits, by chance 2^-34.
	seen := map[string]int{}
	for i := range v {
		for o := range len(v[i]) - 8 {
			w := string(v[i][o : o+8])
			if other, ok := seen[w]; ok {
				t.Fatalf("the 8 bytes at %d of version %d occur in version %d", o, i, other)
			}
			seen[w] = i
		}
	}

	// With labels equal, label ⊕ mask of one ⊕ that of the other is mask ⊕ mask.
	var across, within []byte
	stay, climb := 0, 0
	for m := range n {
		a, b := l.slot(v[0], at[0][m])[tagBytes:], l.slot(v[1], at[1][m])[tagBytes:]
		c := l.slot(v[0], at[0][(m+1)%n])[tagBytes:]
		for j := range a {
			across, within = append(across, a[j]^b[j]), append(within, a[j]^c[j])
		}
		if at[0][m] == at[1][m] {
			stay++
		}
		if (at[0][m] < at[0][(m+1)%n]) == (at[1][m] < at[1][(m+1)%n]) {
			climb++
		}
	}
	randomBytes(t, "masks across versions", across)
	randomBytes(t, "masks within a version", within)
	// Slots kept by chance: Poisson with mean n/slots = 0.78; above 12: 10^-12.
	if stay > 12 {
		t.Errorf("%d of %d members kept their slot", stay, n)
	}
	// Neighbours that keep their order: about half, sd 10; six of them each way.
	if climb < n/2-60 || climb > n/2+60 {
		t.Errorf("%d of %d neighbours keep their order", climb, n)
	}
}

// randomBytes checks bits and bytes for being uniform, at six standard
// deviations.
func randomBytes(t *testing.T, what string, b []byte) {
	t.Helper()
	ones := 0
	var count [256]int
	for _, c := range b {
		ones += bits.OnesCount8(c)
		count[c]++
	}
	// Binomial with 8·len bits: sd √(8·len)/2. (ones − 4·len)² ≤ 36·8·len/4.
	if d := ones - 4*len(b); d*d > 72*len(b) {
		t.Errorf("%s: %d ones in %d bits", what, ones, 8*len(b))
	}
	// Chi-square with 255 degrees of freedom: mean 255, sd √510 = 22.6.
	chi, want := 0.0, float64(len(b))/256
	for _, c := range count {
		chi += (float64(c) - want) * (float64(c) - want) / want
	}
	if chi > 255+6*22.6 || chi < 255-6*22.6 {
		t.Errorf("%s: chi-square of the bytes %.0f, want 255 ± 136", what, chi)
	}
}

// HKDF is what RFC 5869 says, by the standard library's own.
func TestDeriveIsHKDF(t *testing.T) {
	nonce := []byte("sixteen byte non")
	out := testOutput("x")
	prk, err := hkdf.Extract(sha256.New, out[:], append(bytes.Clone(testTable[:]), nonce...))
	if err != nil {
		t.Fatal(err)
	}
	tag, err := hkdf.Expand(sha256.New, prk, "yingbi tag v1", tagBytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 32, 33, 64} {
		mask, err := hkdf.Expand(sha256.New, prk, "yingbi mask v1", n)
		if err != nil {
			t.Fatal(err)
		}
		var keys slotKeys
		Layout{1024, n}.derive(&keys, &testTable, nonce, out)
		if keys.tag != binary.BigEndian.Uint64(tag) || !bytes.Equal(keys.mask[:n], mask) {
			t.Errorf("%d label bytes: tag %x mask %x, want %x %x", n, keys.tag, keys.mask[:n], tag, mask)
		}
	}
}

// The format is part of every published table: these digests do not change
// without new labels ("v2") in the derivations.
func TestFormatIsPinned(t *testing.T) {
	l := Layout{6144, 32}
	ms := testMembers(t, 100, 32, func(i int) string { return fmt.Sprint(i) })
	column := make([]byte, l.ColumnBytes)
	if err := l.Fill(column, testTable, ms, testStream("pinned")); err != nil {
		t.Fatal(err)
	}
	var places []byte
	for _, m := range ms {
		places = binary.BigEndian.AppendUint32(places, uint32(Column([32]byte{1}, m.Output, 10240)))
	}
	for _, c := range []struct {
		what string
		got  []byte
		want string
	}{
		{"column", column, "c652f026843c6fe7"},
		{"places", places, "ed57f26de77ab6cd"},
		{"table id", testTable[:], "4183fde581c4813e"},
	} {
		if d := sha256.Sum256(c.got); hex.EncodeToString(d[:8]) != c.want {
			t.Errorf("%s changed: %x, want %s", c.what, d[:8], c.want)
		}
	}
}

func TestTableID(t *testing.T) {
	seen := map[TableID]string{}
	for _, c := range []struct {
		product, answer string
		epoch           int
	}{{"p", "a", 1}, {"p", "a", 2}, {"pa", "", 1}, {"", "pa", 1}, {"p", "b", 1}, {"a", "p", 1}} {
		id := NewTableID(c.product, c.answer, c.epoch)
		if same, ok := seen[id]; ok {
			t.Errorf("%+v and %s share an id", c, same)
		}
		seen[id] = fmt.Sprintf("%+v", c)
	}
}

func TestColumn(t *testing.T) {
	salt := [32]byte{3}
	const columns, draws = 64, 64 * 256
	var count [columns]int
	moved := 0
	for i := range draws {
		out := testOutput(fmt.Sprint(i))
		c := Column(salt, out, columns)
		count[c]++
		if Column([32]byte{4}, out, columns) != c {
			moved++
		}
	}
	// Chi-square with 63 degrees of freedom: mean 63, sd √126 = 11.2.
	chi := 0.0
	for _, c := range count {
		chi += float64((c-256)*(c-256)) / 256
	}
	if chi > 63+6*11.2 {
		t.Errorf("chi-square of the columns %.0f, want 63 ± 67", chi)
	}
	// Another salt moves 63 of 64: mean 16128, sd 16.
	if moved < 16128-96 || moved > 16128+96 {
		t.Errorf("another salt moves %d of %d outputs", moved, draws)
	}

	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(-2, 1<<20).Draw(t, "columns")
		c := Column(salt, testOutput(rapid.String().Draw(t, "output")), columns)
		if columns < 1 && c != -1 || columns >= 1 && (c < 0 || c >= columns) {
			t.Fatalf("column %d of %d", c, columns)
		}
	})
}

// Every sample of two out of four is drawn equally often.
func TestOrder(t *testing.T) {
	src := newRandomness(testStream("order"))
	count := map[[2]int]int{}
	const draws = 12 * 1000
	for range draws {
		order, err := src.order(4, 2)
		if err != nil {
			t.Fatal(err)
		}
		if s := slices.Sorted(slices.Values(order)); !slices.Equal(s, []int{0, 1, 2, 3}) {
			t.Fatalf("%v is no order", order)
		}
		count[[2]int(order)]++
	}
	chi := 0.0
	for _, c := range count {
		chi += float64((c-1000)*(c-1000)) / 1000
	}
	if len(count) != 12 || chi > 11+6*4.7 { // 11 degrees of freedom, sd √22
		t.Errorf("%d samples, chi-square %.0f: %v", len(count), chi, count)
	}
	// 2^32 is 1 more than a multiple of 3: the word 0 is the one to reject.
	src = newRandomness(bytes.NewReader([]byte{0, 0, 0, 0, 255, 255, 255, 255}))
	if x, err := src.below(3); err != nil || x != 2 {
		t.Fatalf("below 3 with the surplus word first: %d, %v; want 2", x, err)
	}
}

func FuzzFind(f *testing.F) {
	l := Layout{256, 8}
	column := make([]byte, l.ColumnBytes)
	label, _ := PadLabel("a", 8)
	if err := l.Fill(column, testTable, []Member{{testOutput("0"), label}}, testStream("seed")); err != nil {
		f.Fatal(err)
	}
	f.Add(column, 256, 8)
	f.Add([]byte{}, 0, 0)
	f.Add(make([]byte, 24), 24, 0)
	f.Add(make([]byte, 100), 100, 64)
	f.Fuzz(func(t *testing.T, column []byte, columnBytes, labelBytes int) {
		l := Layout{columnBytes, labelBytes}
		label, found := l.Find(column, testTable, testOutput("0"))
		if (label == nil) != (l.Validate() != nil || len(column) != columnBytes) {
			t.Fatalf("label %x for %+v and %d bytes", label, l, len(column))
		}
		if !found && !zero(label) {
			t.Fatalf("label %x of nothing found", label)
		}
	})
}
