// Package sdk is planted: a dot import hides which half it uses.
package sdk

import . "github.com/yingbi/yingbi/compute/lookup"

var _ = Open
