package oprf

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"testing"

	circl "github.com/cloudflare/circl/oprf"
)

func BenchmarkBlind(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			inputs := someInputs(n)
			for b.Loop() {
				if _, _, err := Blind(inputs, rand.Reader); err != nil {
					b.Fatal(err)
				}
			}
			perElement(b, n)
		})
	}
}

func BenchmarkEvaluate(b *testing.B) {
	k := newKey(b)
	for _, n := range []int{1, 64, 2048} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			_, blinded, err := Blind(someInputs(n), nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, _, err := k.Evaluate(blinded, nonceKey); err != nil {
					b.Fatal(err)
				}
			}
			perElement(b, n)
		})
	}
}

// BenchmarkEvaluateCircl is the same work by circl's server.
func BenchmarkEvaluateCircl(b *testing.B) {
	sk, _ := circlKeys(b, newKey(b))
	server := circl.NewVerifiableServer(circl.SuiteRistretto255, sk)
	_, blinded, err := Blind(someInputs(64), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		eval, err := server.Evaluate(&circl.EvaluationRequest{Elements: elements(b, blinded)})
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range eval.Elements {
			if _, err := e.MarshalBinaryCompress(); err != nil {
				b.Fatal(err)
			}
		}
	}
	perElement(b, 64)
}

func BenchmarkFinalise(b *testing.B) {
	k := newKey(b)
	for _, n := range []int{1, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			batch, blinded, err := Blind(someInputs(n), nil)
			if err != nil {
				b.Fatal(err)
			}
			evaluated, proof, err := k.Evaluate(blinded, nonceKey)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := batch.Finalise(k.Public(), evaluated, proof); err != nil {
					b.Fatal(err)
				}
			}
			perElement(b, n)
		})
	}
}

func BenchmarkOutputs(b *testing.B) {
	k := newKey(b)
	inputs := someInputs(outputChunk)
	for b.Loop() {
		if _, err := k.Outputs(b.Context(), inputs, 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, len(inputs))
}

func perElement(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/element")
}

func BenchmarkFill(b *testing.B) {
	l := Layout{20480, 32}
	ms := testMembers(b, 400, 32, func(i int) string { return fmt.Sprint(i) })
	column := make([]byte, l.ColumnBytes)
	for b.Loop() {
		if err := l.Fill(column, testTable, ms, nil); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, len(ms))
}

func BenchmarkFind(b *testing.B) {
	l := Layout{20480, 32}
	ms := testMembers(b, 400, 32, func(i int) string { return fmt.Sprint(i) })
	column := make([]byte, l.ColumnBytes)
	if err := l.Fill(column, testTable, ms, nil); err != nil {
		b.Fatal(err)
	}
	for name, out := range map[string]*Output{"found": ms[0].Output, "absent": testOutput("stranger")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Find(column, testTable, out)
			}
		})
	}
}

func BenchmarkColumn(b *testing.B) {
	out := testOutput("x")
	for b.Loop() {
		Column([32]byte{}, out, 24576)
	}
}
