package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var limits = Limits{Owner: 1000, All: 2500, Files: 4, Keep: time.Hour}

// clock is moved by its test; file times are the machine's where a writer died.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func open(t testing.TB, dir string, c *clock) *Spool {
	t.Helper()
	s, err := New(dir, limits, c.read)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSpool(t testing.TB) (*Spool, string, *clock) {
	t.Helper()
	c, dir := &clock{time.Now()}, filepath.Join(t.TempDir(), "uploads")
	return open(t, dir, c), dir, c
}

func payload(seed, n int) (b []byte, digest string) {
	b = make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(seed), uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b, fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

// send is one call: from an offset to an end.
func send(s *Spool, owner, digest string, size int, offset int, b []byte) (int64, error) {
	u, err := s.Begin(owner, digest, int64(size), int64(offset))
	if err != nil {
		return 0, err
	}
	_, err = u.Write(b)
	n, closing := u.Close()
	return n, errors.Join(err, closing)
}

func mustSend(t *testing.T, s *Spool, owner, digest string, size int, offset int, b []byte, want int64) {
	t.Helper()
	if n, err := send(s, owner, digest, size, offset, b); err != nil || n != want {
		t.Fatalf("%d bytes from %d: %d received, %v, want %d", len(b), offset, n, err, want)
	}
}

func wantContent(t *testing.T, s *Spool, owner, digest string, want []byte) {
	t.Helper()
	f, err := s.Open(owner, digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes, %v", err)
	}
}

// An upload that broke off goes on where it stopped, in another process and
// after a restart, and from before where it stopped.
func TestResume(t *testing.T) {
	s, dir, c := newSpool(t)
	b, digest := payload(1, 300)
	mustSend(t, s, "A", digest, 300, 0, b[:100], 100)
	if _, err := s.Open("A", digest); !errors.Is(err, ErrMissing) {
		t.Errorf("a part opens: %v", err)
	}
	other := open(t, dir, c)
	if n, err := other.Received("A", digest); n != 100 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
	mustSend(t, other, "A", digest, 300, 100, b[100:250], 250)
	mustSend(t, s, "A", digest, 300, 200, b[200:280], 280) // overlaps, and gives up what was beyond
	mustSend(t, open(t, dir, c), "A", digest, 300, 280, b[280:], 300)
	wantContent(t, s, "A", digest, b)
	// Whole already: nothing more is taken, and asking is no error.
	mustSend(t, other, "A", digest, 300, 0, nil, 300)
	if _, err := send(s, "A", digest, 300, 0, b[:1]); !errors.Is(err, ErrTooLong) {
		t.Errorf("more bytes of what is whole: %v", err)
	}
	if n, err := s.Received("B", digest); n != 0 || err != nil {
		t.Errorf("another owner sees %d bytes, %v", n, err)
	}
}

func TestRefusals(t *testing.T) {
	b, digest := payload(1, 100)
	var at *OffsetError
	for name, test := range map[string]struct {
		owner, digest string
		size, offset  int
		data          []byte
		want          error
	}{
		"no digest":                       {"A", "", 100, 0, b, ErrName},
		"a digest in capitals":            {"A", strings.ToUpper(digest), 100, 0, b, ErrName},
		"a path for an owner":             {"../A", digest, 100, 0, b, ErrName},
		"no owner":                        {"", digest, 100, 0, b, ErrName},
		"no bytes":                        {"A", digest, 0, 0, nil, ErrName},
		"a size below zero":               {"A", digest, -1, 0, b, ErrName},
		"an offset below zero":            {"A", digest, 100, -1, b, ErrName},
		"an offset beyond the size":       {"A", digest, 100, 101, nil, ErrName},
		"more than declared":              {"A", digest, 99, 0, b, ErrTooLong},
		"another digest than declared":    {"A", digest, 100, 0, append([]byte{b[0] ^ 1}, b[1:]...), ErrDigest},
		"more than an owner has":          {"A", digest, 1001, 0, nil, &LimitError{}},
		"an offset of what is not there":  {"C", digest, 100, 1, b[1:], &OffsetError{}},
		"another size than it has":        {"W", digest, 101, 0, nil, ErrDigest},
		"an offset beyond what was there": {"P", digest, 100, 51, b[51:], &OffsetError{}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newSpool(t)
			mustSend(t, s, "W", digest, 100, 0, b, 100)
			mustSend(t, s, "P", digest, 100, 0, b[:50], 50)
			_, err := send(s, test.owner, test.digest, test.size, test.offset, test.data)
			switch test.want.(type) {
			case *LimitError:
				if full := (*LimitError)(nil); !errors.As(err, &full) || full.Limit != LimitOwner || full.Most != 1000 {
					t.Errorf("got %v", err)
				}
			case *OffsetError:
				if !errors.As(err, &at) || at.Received != map[string]int64{"C": 0, "P": 50}[test.owner] {
					t.Errorf("got %v", err)
				}
			default:
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			}
			// What had another digest is gone, and its place is free.
			if n, err := s.Received("A", digest); err != nil || n != 0 {
				t.Errorf("%d bytes are kept, %v", n, err)
			}
		})
	}
}

// A size is counted from the first byte on, not as it comes; one that is given
// up gives its place back.
func TestLimits(t *testing.T) {
	s, _, _ := newSpool(t)
	var digests []string
	for i := range 8 {
		_, d := payload(i, 10)
		digests = append(digests, d)
	}
	full := func(limit string, used int64, err error) {
		t.Helper()
		if e := (*LimitError)(nil); !errors.As(err, &e) || e.Limit != limit || e.Used != used {
			t.Errorf("got %v, want the limit %s with %d used", err, limit, used)
		}
	}
	mustSend(t, s, "A", digests[0], 900, 0, []byte("x"), 1)
	_, err := send(s, "A", digests[1], 101, 0, nil)
	full(LimitOwner, 900, err)
	mustSend(t, s, "A", digests[1], 100, 0, nil, 0)
	mustSend(t, s, "B", digests[0], 1000, 0, nil, 0)
	_, err = send(s, "C", digests[0], 501, 0, nil)
	full(LimitAll, 2000, err)
	mustSend(t, s, "C", digests[0], 500, 0, nil, 0)
	mustSend(t, s, "C", digests[0], 1, 0, nil, 0) // anew, with the size that was meant
	for i := range 3 {
		mustSend(t, s, "C", digests[i+1], 1, 0, nil, 0)
	}
	_, err = send(s, "C", digests[5], 1, 0, nil)
	full(LimitFiles, 4, err)
}

// However many processes begin at once, nobody has more than the limits.
func TestLimitsUnderConcurrency(t *testing.T) {
	_, dir, c := newSpool(t)
	var wg sync.WaitGroup
	for p := range 4 {
		s := open(t, dir, c)
		for i := range 12 {
			wg.Go(func() {
				b, digest := payload(100*p+i, 300)
				if _, err := send(s, string(rune('A'+i%4)), digest, len(b), 0, b); err != nil {
					if full := (*LimitError)(nil); !errors.As(err, &full) {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	s, all := open(t, dir, c), int64(0)
	for i := range 4 {
		files, err := s.of(string(rune('A' + i)))
		if err != nil {
			t.Fatal(err)
		}
		own := int64(0)
		for _, f := range files {
			own += f.size
		}
		if all += own; own > limits.Owner {
			t.Errorf("an owner has %d bytes", own)
		}
	}
	if all != 2400 { // eight of 300 fit into 2500, and three into an owner's 1000
		t.Errorf("all have %d bytes, want 2400", all)
	}
}

// Nobody writes what another writes, in this process or the next; a writer that
// died leaves its lock.
func TestOneWriter(t *testing.T) {
	s, dir, c := newSpool(t)
	b, digest := payload(1, 100)
	u, err := s.Begin("A", digest, 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []*Spool{s, open(t, dir, c)} {
		for _, size := range []int64{100, 50} {
			if _, err := again.Begin("A", digest, size, 0); !errors.Is(err, ErrBusy) {
				t.Errorf("a second writer: %v", err)
			}
		}
	}
	c.now = c.now.Add(2 * limits.Keep) // nobody takes it from under its writer
	if err := open(t, dir, c).Sweep(); err != nil {
		t.Error(err)
	}
	if _, err := u.Write(b); err != nil {
		t.Error(err)
	}
	if n, err := u.Close(); n != 100 || err != nil {
		t.Errorf("%d received, %v", n, err)
	}
	wantContent(t, s, "A", digest, b)
}

// What nobody touches goes, whole or not; what was used stays. A process that
// starts drops what is too old.
func TestExpiry(t *testing.T) {
	s, dir, c := newSpool(t)
	var digests []string
	for i := range 3 {
		b, d := payload(i, 100)
		digests = append(digests, d)
		mustSend(t, s, "A", d, 100, 0, b[:100-i%2], int64(100-i%2)) // whole, a part, whole
	}
	c.now = c.now.Add(limits.Keep - time.Minute)
	b, _ := payload(2, 100)
	wantContent(t, s, "A", digests[2], b)
	c.now = c.now.Add(2 * time.Minute)
	s = open(t, dir, c)
	for i, want := range []int64{0, 0, 100} {
		if n, err := s.Received("A", digests[i]); n != want || err != nil {
			t.Errorf("upload %d: %d received, %v, want %d", i, n, err, want)
		}
	}
	c.now = c.now.Add(2 * limits.Keep)
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != lockName {
		t.Errorf("%v are left, %v", left, err)
	}
}

// A full disk gives the part's space back, and the same upload begins anew.
func TestDiskFull(t *testing.T) {
	s, _, _ := newSpool(t)
	b, digest := payload(1, 300)
	mustSend(t, s, "A", digest, 300, 0, b[:100], 100)
	s.write = func(f *os.File, b []byte) (int, error) {
		n, _ := f.Write(b[:len(b)/2])
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	if _, err := send(s, "A", digest, 300, 100, b[100:]); !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if n, err := s.Received("A", digest); n != 0 || err != nil {
		t.Errorf("%d bytes stay, %v", n, err)
	}
	s.write = (*os.File).Write
	mustSend(t, s, "A", digest, 300, 0, b, 300)
	wantContent(t, s, "A", digest, b)
}

// A file that lost its bytes with the machine's power is none.
func TestDamaged(t *testing.T) {
	s, _, _ := newSpool(t)
	b, digest := payload(1, 100)
	mustSend(t, s, "A", digest, 100, 0, b, 100)
	files, err := s.of("A")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0].path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open("A", digest); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	mustSend(t, s, "A", digest, 100, 0, b, 100)
	wantContent(t, s, "A", digest, b)
}

// Whatever is sent in whatever pieces, what opens has its digest, and what was
// received is never more than was sent.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, dir := &clock{time.Now()}, must(os.MkdirTemp("", "spool"))
		defer os.RemoveAll(dir)
		s := must(New(dir, limits, c.read))
		b, digest := payload(rapid.IntRange(0, 3).Draw(t, "seed"), rapid.IntRange(1, 40).Draw(t, "size"))
		have := 0
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			if rapid.Bool().Draw(t, "restart") {
				s = must(New(dir, limits, c.read))
			}
			offset, n := rapid.IntRange(0, len(b)).Draw(t, "offset"), rapid.IntRange(0, len(b)).Draw(t, "n")
			end := min(len(b), offset+n)
			got, err := send(s, "A", digest, len(b), offset, b[offset:end])
			switch {
			case have == len(b): // whole: nothing is taken
				if got != int64(have) || err != nil && !errors.Is(err, ErrTooLong) {
					t.Fatalf("a whole upload: %d, %v", got, err)
				}
				continue
			case offset > have:
				if at := (*OffsetError)(nil); !errors.As(err, &at) || at.Received != int64(have) {
					t.Fatalf("from %d where %d are there: %v", offset, have, err)
				}
				continue
			case err != nil || got != int64(end):
				t.Fatalf("from %d to %d: %d, %v", offset, end, got, err)
			}
			have = end
			if n := must(s.Received("A", digest)); n != int64(have) {
				t.Fatalf("%d received, want %d", n, have)
			}
		}
		f, err := s.Open("A", digest)
		if (err == nil) != (have == len(b)) {
			t.Fatalf("%d of %d are there, and it opens: %v", have, len(b), err)
		}
		if err == nil {
			defer f.Close()
			if !bytes.Equal(must(io.ReadAll(f)), b) {
				t.Fatal("other bytes")
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
