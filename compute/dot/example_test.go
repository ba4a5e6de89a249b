package dot_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/yingbi/yingbi/compute/dot"
)

// Two measures over four cells, weighed by a portfolio that the server does not
// see.
func Example() {
	// The gateway, once: the published bounds and the operand.
	var gateway [32]byte
	rand.Read(gateway[:])
	params, err := dot.NewParams(4, 2, 1000)
	if err != nil {
		log.Fatal(err)
	}
	operand, err := dot.Prepare(context.Background(), &gateway, params, [][]uint32{
		{120, 80, 0, 1000}, // loans
		{6, 2, 0, 90},      // defaults
	})
	if err != nil {
		log.Fatal(err)
	}

	// The client, for each job.
	var secret [32]byte
	rand.Read(secret[:])
	query, err := dot.NewQuery(operand.Public(), &secret, "job-1", []uint32{10, 0, 65535, 3})
	if err != nil {
		log.Fatal(err)
	}
	defer query.Zero()
	var wire bytes.Buffer
	if _, err := query.WriteTo(&wire); err != nil {
		log.Fatal(err)
	}

	// The gateway reads the query as it comes.
	answer, err := operand.Answer(context.Background(), &wire)
	if err != nil {
		log.Fatal(err)
	}

	sums, err := query.Decrypt(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sums)
	// Output: [4200 330]
}
