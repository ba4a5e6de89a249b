//go:build unix && !purego

package lookup

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile gives the first size bytes of a file, read only and shared with its
// pages in memory, until release is called. The file must stay as long as it
// is: reading beyond a shortened file would stop the process.
func mapFile(f *os.File, size int64) (data []byte, release func() error, err error) {
	if int64(int(size)) != size {
		return nil, nil, fmt.Errorf("a file of %d bytes does not fit this machine's addresses", size)
	}
	data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}
