//go:build !linux

package enclave

// What a machine other than Linux has is not looked at.

func diskFree(string) (int64, bool)                      { return 0, false }
func memoryAvailable() (int64, bool)                     { return 0, false }
func openFiles() (int64, bool)                           { return 0, false }
func clockSynchronised() (synchronised bool, known bool) { return false, false }
