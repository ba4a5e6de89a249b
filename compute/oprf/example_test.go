package oprf_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/yingbi/yingbi/compute/oprf"
)

// One record is published and looked up. What lies between Column and Find is
// package lookup, which fetches the column without telling which.
func Example() {
	// Domain: publish a table of one column.
	key, err := oprf.GenerateKey()
	check(err)
	defer key.Zero()
	record, err := oprf.Encode(oprf.RuleText, "licence/label", "沪ZJ-00017", "张三")
	check(err)
	outputs, err := key.Outputs(context.Background(), [][]byte{record}, 0, nil)
	check(err)
	label, err := oprf.PadLabel("在营", 32)
	check(err)
	layout, table := oprf.Layout{ColumnBytes: 2048, LabelBytes: 32}, oprf.NewTableID("licence", "label", 1)
	column := make([]byte, layout.ColumnBytes)
	check(layout.Fill(column, table, []oprf.Member{{Output: &outputs[0], Label: label}}, nil))

	// Enterprise: blind two identifiers, written as they come.
	known, err := oprf.Encode(oprf.RuleText, "licence/label", "沪ｚｊ－00017 ", "张三")
	check(err)
	unknown, err := oprf.Encode(oprf.RuleText, "licence/label", "沪ZJ-00018", "张三")
	check(err)
	batch, blinded, err := oprf.Blind([][]byte{known, unknown}, nil)
	check(err)
	defer batch.Zero()

	// Domain: evaluate. The nonce key comes from the keyring.
	nonceKey := make([]byte, oprf.NonceKeySize)
	rand.Read(nonceKey)
	evaluated, proof, err := key.Evaluate(blinded, nonceKey)
	check(err)

	// Enterprise: verify, unblind, find.
	mine, err := batch.Finalise(key.Public(), evaluated, proof)
	check(err)
	for i := range mine {
		label, found := layout.Find(column, table, &mine[i])
		text, err := oprf.TrimLabel(label)
		check(err)
		fmt.Printf("%v %q\n", found, text)
	}
	// Output:
	// true "在营"
	// false ""
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
