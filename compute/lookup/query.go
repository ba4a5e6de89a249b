package lookup

import (
	"fmt"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// A query in wire form: m numbers b' of 27 bits, then the N coefficients of y
// and those of z, of 46 bits; signed, packed least significant bit first. It
// has one length, and no number beyond what rounding a value in (−q/2, q/2]
// can give.
const (
	maxQueryValue = (rlwe.Q/2 + 1<<(queryShift-1)) >> queryShift
	maxKeyValue   = (rlwe.Q/2 + 1<<(keyShift-1)) >> keyShift
)

// encodeQuery writes the wire form. The values are in range.
func encodeQuery(p Params, b []int32, y, z []int64) []byte {
	wire := make([]byte, 0, p.QueryBytes())
	wire = rlwe.Pack(wire, b, queryBits)
	wire = rlwe.Pack(wire, y, keyBits)
	return rlwe.Pack(wire, z, keyBits)
}

// checkQuery refuses a query of another length.
func checkQuery(p Params, wire []byte) error {
	if len(wire) != p.QueryBytes() {
		return fmt.Errorf("%w: %d bytes, expected %d for %d columns", ErrQuery, len(wire), p.QueryBytes(), p.Columns)
	}
	return nil
}

// parseQuery reads the wire form as it was written.
func parseQuery(p Params, wire []byte) (b []int32, y, z []int64, err error) {
	if err := checkQuery(p, wire); err != nil {
		return nil, nil, nil, err
	}
	b, y, z = make([]int32, p.Columns), make([]int64, rlwe.N), make([]int64, rlwe.N)
	keys := rlwe.PackedSize(rlwe.N, keyBits)
	first := len(wire) - 2*keys
	if err := rlwe.UnpackSigned(b, wire[:first], queryBits); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	if err := rlwe.UnpackSigned(y, wire[first:][:keys], keyBits); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	if err := rlwe.UnpackSigned(z, wire[first+keys:], keyBits); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	for i, x := range b {
		if x > maxQueryValue || x < -maxQueryValue {
			return nil, nil, nil, fmt.Errorf("%w: number %d is beyond q/2", ErrQuery, i)
		}
	}
	for i := range y {
		if max(y[i], z[i]) > maxKeyValue || min(y[i], z[i]) < -maxKeyValue {
			return nil, nil, nil, fmt.Errorf("%w: key coefficient %d is beyond q/2", ErrQuery, i)
		}
	}
	return b, y, z, nil
}

// decodeQuery reads a query and transforms its keys, scaled back by what
// rounding dropped.
func decodeQuery(p Params, wire []byte) (*job, error) {
	b, y, z, err := parseQuery(p, wire)
	if err != nil {
		return nil, err
	}
	j := &job{b: b}
	for _, x := range b {
		j.sum += int64(x)
	}
	for i := range rlwe.Primes {
		mod := rlwe.Mod(i)
		var lifted [rlwe.N]uint32
		for _, key := range []struct {
			values []int64
			out    *[rlwe.N]uint32
		}{{y, &j.y[i]}, {z, &j.z[i]}} {
			for k, x := range key.values {
				lifted[k] = mod.ReduceSigned(x << keyShift)
			}
			mod.Forward(key.out, &lifted)
		}
	}
	return j, nil
}
