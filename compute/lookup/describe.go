package lookup

import "runtime"

// Kernel names the kernel that answers queries on this processor, and how many
// processors it is run on.
func Kernel() (name string, processors int) { return bestKernel().name, runtime.GOMAXPROCS(0) }
