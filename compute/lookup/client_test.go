package lookup

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// ternaryOf recovers a decoder's s.
func ternaryOf(t *testing.T, d *Decoder) (s [rlwe.N]int8) {
	t.Helper()
	c := coefficients(&d.secret)
	for k := range s {
		v := rlwe.Centre(rlwe.Combine(c[0][k], c[1][k]))
		if v < -1 || v > 1 {
			t.Fatalf("coefficient %d of s is %d", k, v)
		}
		s[k] = int8(v)
	}
	return s
}

func agreement(a, b [rlwe.N]int8) (n int) {
	for k := range a {
		if a[k] == b[k] {
			n++
		}
	}
	return n
}

// A retry is the same bytes; anything else has a secret of its own. Unrelated
// ternary secrets agree in a third of their places; the bound is six deviations.
func TestASecretIsNeverUsedTwice(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	g := built(t, 2048, 2048, "zeros") // the same seeds, another table
	client, other := f.client(t, f.open(t, bestKernel())), g.client(t, g.open(t, bestKernel()))
	secret, id := [32]byte{1}, QueryID{Job: "job-1", Epoch: 1, Version: 2, Index: 3}

	base, d, err := client.Query(&secret, id, 100)
	if err != nil {
		t.Fatal(err)
	}
	s := ternaryOf(t, d)
	again, e, err := client.Query(&secret, id, 100)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(base, again) || ternaryOf(t, e) != s {
		t.Error("the same call gave other bytes")
	}

	cases := map[string]func() ([]byte, *Decoder, error){
		"column":  func() ([]byte, *Decoder, error) { return client.Query(&secret, id, 101) },
		"secret":  func() ([]byte, *Decoder, error) { return client.Query(&[32]byte{2}, id, 100) },
		"table":   func() ([]byte, *Decoder, error) { return other.Query(&secret, id, 100) },
		"job":     func() ([]byte, *Decoder, error) { id := id; id.Job = "job-2"; return client.Query(&secret, id, 100) },
		"epoch":   func() ([]byte, *Decoder, error) { id := id; id.Epoch++; return client.Query(&secret, id, 100) },
		"version": func() ([]byte, *Decoder, error) { id := id; id.Version++; return client.Query(&secret, id, 100) },
		"index":   func() ([]byte, *Decoder, error) { id := id; id.Index++; return client.Query(&secret, id, 100) },
		"swapped epoch and version": func() ([]byte, *Decoder, error) {
			id := id
			id.Epoch, id.Version = id.Version, id.Epoch
			return client.Query(&secret, id, 100)
		},
	}
	seen := map[string][rlwe.N]int8{"the first": s}
	for name, query := range cases {
		wire, d, err := query()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(wire, base) {
			t.Errorf("another %s: the same bytes", name)
		}
		s := ternaryOf(t, d)
		for before, b := range seen {
			if n := agreement(s, b); math.Abs(float64(n)-rlwe.N/3.) > 6*math.Sqrt(rlwe.N*2./9) {
				t.Errorf("the secrets of another %s and %s agree in %d of %d places", name, before, n, rlwe.N)
			}
		}
		seen[name] = s
	}
}

// Every part of a table's description is in the derivation.
func TestBindingCoversTheDescription(t *testing.T) {
	base := built(t, 2048, 2048, "random").public
	seen := map[[32]byte]string{base.binding(): "itself"}
	for name, change := range map[string]func(*Public){
		"params": func(p *Public) { p.Params = "x" }, "columns": func(p *Public) { p.Columns++ }, "rows": func(p *Public) { p.Rows++ },
		"sub-tables": func(p *Public) { p.SubTables++ }, "seed a": func(p *Public) { p.Seeds.A[31]++ },
		"seed w": func(p *Public) { p.Seeds.W[31]++ }, "seed v": func(p *Public) { p.Seeds.V[31]++ },
		"table":  func(p *Public) { p.Table = p.Answer },
		"answer": func(p *Public) { p.Answer = p.Table },
	} {
		p := base
		change(&p)
		if before, ok := seen[p.binding()]; ok {
			t.Errorf("another %s binds like %s", name, before)
		}
		seen[p.binding()] = name
	}
}

func TestDerivationIsHKDFExpand(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	client := f.client(t, f.open(t, bestKernel()))
	secret, id := [32]byte{3}, QueryID{Job: "job", Epoch: 4, Version: 5, Index: 6}
	info := "yingbi lookup query v1\x00" + string(client.binding[:])
	for _, n := range []uint64{4, 5, 6, 7} {
		info += string(binary.LittleEndian.AppendUint64(nil, n))
	}
	want, err := hkdf.Expand(sha512.New, secret[:], info+"job", 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := client.derive(&secret, id, 7); !bytes.Equal(got[:], want) {
		t.Errorf("%x, expected %x", got, want)
	}
}

// The query is what the definition says: B − A·s is E plus Δ at the column
// alone, and the keys hide −2^drop times the images of s under τ_5 and τ_−1.
func TestQueryAgainstDefinition(t *testing.T) {
	f := built(t, 4096, 2048, "random")
	client := f.client(t, f.open(t, bestKernel()))
	const u = 2048 + 77
	wire, d, err := client.Query(&[32]byte{8}, QueryID{Job: "j"}, u)
	if err != nil {
		t.Fatal(err)
	}
	b, y, z, err := parseQuery(f.Params, wire)
	if err != nil {
		t.Fatal(err)
	}
	s := coefficients(&d.secret)
	residue := func(a *rlwe.Poly, value int64, k int) int64 { // value − a_k
		return rlwe.Centre((uint64(value+rlwe.Q)%rlwe.Q + rlwe.Q - rlwe.Combine(a[0][k], a[1][k])) % rlwe.Q)
	}
	for c := range f.chunks() {
		as := new(rlwe.Poly)
		naiveMulAdd(as, coefficients(f.seeds.expandA(c)), s)
		for k := range rlwe.N {
			e := residue(as, int64(b[c*rlwe.N+k])<<queryShift, k)
			if c*rlwe.N+k == u {
				e -= delta
			}
			if e > 1<<(queryShift-1)+rlwe.BinomialK || e < -1<<(queryShift-1)-rlwe.BinomialK {
				t.Fatalf("column %d carries %d", c*rlwe.N+k, e)
			}
		}
	}
	for _, key := range []struct {
		name   string
		a      *rlwe.Poly
		values []int64
		g      int
	}{{"y", f.seeds.expandW(), y, 5}, {"z", f.seeds.expandV(), z, 2*rlwe.N - 1}} {
		want := naiveTau(s, key.g)
		for i, q := range naiveQ {
			for k := range want[i] {
				want[i][k] = uint32((q - uint64(want[i][k])*(1<<dropBits%q)%q) % q)
			}
		}
		naiveMulAdd(want, coefficients(key.a), s)
		for k, v := range key.values {
			if e := residue(want, v<<keyShift, k); e > 1<<(keyShift-1)+rlwe.BinomialK || e < -1<<(keyShift-1)-rlwe.BinomialK {
				t.Fatalf("%s: coefficient %d is off by %d", key.name, k, e)
			}
		}
	}
}

func TestQueryRefuses(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	client := f.client(t, f.open(t, bestKernel()))
	for name, c := range map[string]struct {
		job    string
		column int
	}{"negative column": {"j", -1}, "column beyond": {"j", 2048}, "no job": {"", 0}, "long job": {strings.Repeat("j", 129), 0}} {
		if wire, d, err := client.Query(&[32]byte{}, QueryID{Job: c.job}, c.column); err == nil || wire != nil || d != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	part := f.open(t, bestKernel()).PublicPart()
	changed := bytes.Clone(part)
	changed[17] ^= 1
	for name, bad := range map[string][]byte{"empty": nil, "short": part[1:], "long": append(bytes.Clone(part), 0), "changed": changed} {
		if _, err := NewClient(f.public, bad); !errors.Is(err, ErrPublic) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewClient(Public{}, part); !errors.Is(err, ErrPublic) {
		t.Errorf("empty descriptor: %v", err)
	}
}

func TestDecoderRefusesAndForgets(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	table := f.open(t, bestKernel())
	wire, d, err := f.client(t, table).Query(&[32]byte{}, QueryID{Job: "j"}, 5)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := table.Answer(context.Background(), [][]byte{wire})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "short": answers[0][1:], "long": append(bytes.Clone(answers[0]), 0)} {
		if _, err := d.Column(bad); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.Zero()
	if d.secret != (rlwe.Poly{}) {
		t.Error("the secret is still there")
	}
	if _, err := d.Column(answers[0]); !errors.Is(err, ErrSpent) {
		t.Errorf("after Zero: %v", err)
	}
}

func FuzzQuery(f *testing.F) {
	p := Params{ID: ParamsID, Columns: MinSide, Rows: MinSide}
	f.Add(make([]byte, p.QueryBytes()))
	f.Add(bytes.Repeat([]byte{0x0f}, p.QueryBytes()))
	f.Add(bytes.Repeat([]byte{0xff}, p.QueryBytes()))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		b, y, z, err := parseQuery(p, wire)
		if err != nil {
			if !errors.Is(err, ErrQuery) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !bytes.Equal(encodeQuery(p, b, y, z), wire) {
			t.Fatal("encoding what was parsed gives other bytes")
		}
		if _, err := decodeQuery(p, wire); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	p := Params{ID: ParamsID, Columns: MinSide, Rows: MinSide}
	d := &Decoder{client: &Client{params: p, answer: make([]rlwe.Poly, 1)}}
	f.Add(make([]byte, p.AnswerBytes()))
	f.Add(bytes.Repeat([]byte{0xff}, p.AnswerBytes()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, answer []byte) {
		column, err := d.Column(answer)
		if (err == nil) != (len(answer) == p.AnswerBytes()) || err != nil && !errors.Is(err, ErrAnswer) {
			t.Fatalf("%d bytes: %v", len(answer), err)
		}
		if err == nil && len(column) != p.Rows {
			t.Fatalf("%d bytes of column", len(column))
		}
	})
}

// The public part is held to its digest, so what the fuzzer reaches is the
// reading behind it.
func FuzzPublicPart(f *testing.F) {
	p := Params{ID: ParamsID, Columns: MinSide, Rows: MinSide}
	f.Add(make([]byte, p.PublicBytes()))
	f.Add(bytes.Repeat([]byte{0xff}, p.PublicBytes()))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, part []byte) {
		c := &Client{params: p, public: Public{Answer: formatDigest(sha256.Sum256(part))}}
		if err := c.readAnswerPart(part); (err == nil) != (len(part) == p.PublicBytes()) || err != nil && !errors.Is(err, ErrPublic) {
			t.Fatalf("%d bytes: %v", len(part), err)
		}
	})
}
