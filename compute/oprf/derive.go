package oprf

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
)

// DeriveReader returns the deterministic stream from which a resumable job draws
// its blinds: secret is 32 random bytes that the enterprise keeps for this job
// alone, labels name the job, the epoch and the batch. The same secret, inputs and
// labels give the same stream, any other another; so a resumed job sends the
// same bytes, and pays nothing.
//
// The inputs, in order, are bound into the stream: one blind for two different
// inputs would let the domain relate them. For the same reason Blind refuses a
// stream over other inputs and a stream it has seen before. The stream is
// cSHAKE256 keyed by the secret, which is a PRF of what is absorbed after it.
func DeriveReader(secret *[32]byte, inputs [][]byte, labels ...string) io.Reader {
	d := &derivedReader{inputs: inputsDigest(inputs)}
	d.shake = sha3.NewCSHAKE256(nil, []byte("yingbi oprf blinds v1"))
	d.shake.Write(secret[:])
	d.shake.Write(d.inputs[:])
	var n [8]byte
	for _, l := range labels {
		binary.BigEndian.PutUint64(n[:], uint64(len(l)))
		d.shake.Write(n[:])
		io.WriteString(d.shake, l)
	}
	return d
}

type derivedReader struct {
	shake  *sha3.SHAKE
	inputs [32]byte
	used   bool
}

// Format keeps the stream's state out of logs, whatever the verb.
func (*derivedReader) Format(f fmt.State, _ rune) { io.WriteString(f, "oprf.DeriveReader(hidden)") }

func (d *derivedReader) Read(p []byte) (int, error) {
	d.used = true
	return d.shake.Read(p)
}

// claim lets a stream be used once, for the inputs it was made for.
func (d *derivedReader) claim(inputs [][]byte) error {
	digest := inputsDigest(inputs)
	if subtle.ConstantTimeCompare(digest[:], d.inputs[:]) != 1 {
		return fmt.Errorf("%w: derived for other inputs", ErrBlinds)
	}
	if d.used {
		return fmt.Errorf("%w: derived stream used before; derive it again", ErrBlinds)
	}
	d.used = true
	return nil
}

func inputsDigest(inputs [][]byte) [32]byte {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(inputs)))
	h.Write(n[:])
	for _, in := range inputs {
		binary.BigEndian.PutUint64(n[:], uint64(len(in)))
		h.Write(n[:])
		h.Write(in)
	}
	return [32]byte(h.Sum(nil))
}
