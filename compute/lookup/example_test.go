package lookup_test

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/yingbi/yingbi/compute/lookup"
)

// A table is built and opened by its server, and a client fetches a column of
// it. In between travel the descriptor's part, the public answer part (once per
// version), a query and an answer.
func Example() {
	ctx := context.Background()

	// The server. columns would be masked slots.
	params, _, err := lookup.ParamsFor(9_614, 32)
	if err != nil {
		fmt.Println(err)
		return
	}
	columns := make([]byte, params.TableBytes())
	public, err := lookup.Build(ctx, "licence-1-1.table", params, lookup.NewSeeds(), columns, lookup.BuildOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	table, err := lookup.Open("licence-1-1.table", public)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer table.Close()

	// The client. The secret is kept with the job: with it a retry after a
	// crash sends the same bytes.
	client, err := lookup.NewClient(public, table.PublicPart())
	if err != nil {
		fmt.Println(err)
		return
	}
	var secret [32]byte
	rand.Read(secret[:])
	id := lookup.QueryID{Job: "0191f7a0-7e1c-7000-8000-000000000000", Epoch: 1, Version: 1, Index: 0}
	query, decoder, err := client.Query(&secret, id, 1234)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer decoder.Zero()

	answers, err := table.Answer(ctx, [][]byte{query})
	if err != nil {
		fmt.Println(err)
		return
	}
	column, err := decoder.Column(answers[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(column), "bytes")
}
