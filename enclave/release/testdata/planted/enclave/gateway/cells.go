package gateway

import (
	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/dot"
	"github.com/yingbi/yingbi/compute/fingerprint"
)

func raw(table *cells.Table) {
	_, _ = cells.ReadFile("any.cells", nil)
	_, _ = columnar.Run(nil, nil, source, 1)
	_, _ = dot.Prepare(nil, nil, dot.Params{}, nil)
	_, _ = fingerprint.New(nil, "", "")
	_, _ = cells.DecodeQuery(nil) // what is asked is everybody's, and so is what was published
}
