package ledger

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// Every decoder that faces a wire or a file: it never panics, and what it takes
// it writes again byte for byte.

func FuzzDecode(f *testing.F) {
	for _, e := range samples() {
		f.Add(mustEncode(f, e))
	}
	f.Add(mustEncode(f, &Entry{V: Version, Seq: 5, Time: at(1), Kind: KindKey, Actor: samples()[0].Actor, Key: &Key{
		Action: "rotate", Purpose: PurposeLedger, Public: testPublic("second"), HandOver: handOver(f, "log", "second", 5)}}))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"actor":"","kind":"call"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("an error that is not ErrMalformed: %v", err)
			}
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("decoded\n%s\nencodes as\n%s (%v)", b, again, err)
		}
		if want, err := Canonical(e); err != nil || !bytes.Equal(want, b) {
			t.Fatalf("decoded\n%s\nencoding/json and jcs give\n%s (%v)", b, want, err)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	h := testHeader()
	b, err := h.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"costCentre":"","v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("an error that is not ErrMalformed: %v", err)
			}
			return
		}
		if again, err := h.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("decoded\n%s\nencodes as\n%s (%v)", b, again, err)
		}
	})
}

// FuzzScan holds the scanner to jcs, byte by byte.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"a":[1,-0.5,1e-7,null,true,"\u001f\n\"é"],"é":{}}`))
	f.Add([]byte("{\"😀\":1,\"\ufb33\":2}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			sameVerdict(t, b)
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	m, _ := testLog(f)
	for _, n := range []int64{0, 1, m.n} {
		msg, err := SignCheckpoint(testSigner(f), testOrigin, m.tree(f, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg)
	}
	v := testVerifier(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if tree, err := OpenCheckpoint(b, v); err == nil && !validTree(tree) {
			t.Fatalf("a tree out of bounds: %v", tree)
		}
		if origin, tree, err := ParseCheckpoint(b); err == nil && (!validTree(tree) || !isOrigin(origin)) {
			t.Fatalf("a tree out of bounds, or no origin: %v of %q", tree, origin)
		} else if _, signed := OpenCheckpoint(b, v); signed == nil && err != nil {
			t.Fatalf("signed, and: %v", err)
		}
		// Past the signature, which the fuzzer cannot make.
		if tree, err := parseCheckpoint(string(b), testOrigin); err == nil && !validTree(tree) {
			t.Fatalf("a tree out of bounds: %v", tree)
		}
	})
}

func FuzzDecodeReceipt(f *testing.F) {
	for _, seq := range []int64{0, 7, 16} {
		b, err := testReceipt(f, seq, 17).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	v := testVerifier(f)
	genuine := testReceipt(f, 7, 17)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReceipt(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("an error that is not ErrMalformed: %v", err)
			}
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("decoded\n%s\nencodes as\n%s (%v)", b, again, err)
		}
		if e, _, err := r.Verify(v); err == nil && e.Seq == 7 && !bytes.Equal(r.Entry, genuine.Entry) {
			t.Fatalf("a forged receipt verifies:\n%s", b)
		}
	})
}

func FuzzExportReader(f *testing.F) {
	// Short seeds: the fuzzer spends its time on cutting long ones down.
	f.Add([]byte(`{"format":"yingbi-log/1","origin":"o"}` + "\n" +
		`{"seq":0,"salt":"c2FsdCBvZiBlbnRyeSAwAAAAAAAAAAAAAAAAAAAAAAA=","entry":{"v":1}}` + "\n" +
		`{"checkpoint":"o\n1\n—\u001f"}` + "\n"))
	f.Add([]byte(`{"format":"yingbi-log/1","origin":"o"}` + "\n" + `{"checkpoint":""}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := NewExportReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var out bytes.Buffer
		w, err := NewExportWriter(&out, in.Origin())
		if err != nil {
			t.Fatal(err)
		}
		for {
			line, err := in.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					return
				}
				break
			}
			if line.Checkpoint != nil {
				err = w.Checkpoint(line.Checkpoint)
			} else {
				err = w.Entry(line.Seq, line.Salt, line.Entry)
			}
			if err != nil {
				t.Fatalf("read but not written: %v", err)
			}
		}
		if err := w.Flush(); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("read\n%q\nwritten\n%q (%v)", b, out.Bytes(), err)
		}
	})
}
