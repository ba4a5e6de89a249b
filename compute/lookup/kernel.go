package lookup

import "github.com/yingbi/yingbi/compute/internal/rlwe"

// job is a query on its way through the server.
type job struct {
	b    []int32   // b', one a column, |b'| ≤ 2^26
	sum  int64     // Σ b'
	y, z rlwe.Poly // the keys, as values at the slots, canonical

	sums   []int64     // pass: Σ_j D[k][j]·b'_j, one a row
	packed []rlwe.Poly // pack: Σ t·τ(y) + Σ t̄·τ(y) + t_h·z, one a block, at the slots

	form any // what the kernel made of b, y and z
}

// kernel is the two loops that a query costs, bound to one table. Both take
// several jobs, so that a kernel can serve them while it holds a piece of the
// table. All methods are safe for concurrent use; a job is written to by one
// call for any one row or block and prime.
//
// A vector kernel goes into a file of its own (kernel_amd64.go, with the
// constraint !purego), whose init appends its constructor to kernels; every
// kernel in the list is held to the same tests.
type kernel interface {
	// load prepares a job whose b, y and z are set.
	load(j *job)
	// pass sets sums of the rows 4·from to 4·to − 1.
	pass(jobs []*job, from, to int)
	// pack sets packed[block][prime].
	pack(jobs []*job, block, prime int)
}

// tableView is what a kernel works on: the sections of an open table file.
type tableView struct {
	Params
	tiles  []byte   // tile.go has both layouts
	digits []uint32 //
}

type kernelMaker struct {
	name string
	bind func(v *tableView, workers int) kernel
}

// kernels are those this program has for this processor, the fastest last.
var kernels = []kernelMaker{{"portable", newPortable}}

func bestKernel() kernelMaker { return kernels[len(kernels)-1] }
