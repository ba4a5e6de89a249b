package enclave

import "github.com/yingbi/yingbi/enclave/sealed"

// Why an Import was refused, for those who show it to a person in words of
// their own. Faults tell the shape of values and never the values.
type (
	DataFaults   = sealed.FaultsError
	HeaderFaults = sealed.HeaderError
)
