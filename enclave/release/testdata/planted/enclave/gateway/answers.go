// Package gateway is planted: it opens an operand behind the release package's back.
package gateway

import (
	"github.com/yingbi/yingbi/compute/lookup"
	o "github.com/yingbi/yingbi/compute/oprf"
)

func answer() {
	_, _ = lookup.Open("any.tbl", lookup.Public{})
	_, _ = o.ParsePrivateKey(nil)
	_ = lookup.QueryID{} // the client half is everybody's
}
