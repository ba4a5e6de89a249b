// Package cells is planted: what a regime is made of is no violation.
package cells

import "github.com/yingbi/yingbi/compute/columnar"

var _ = columnar.Run
