//go:build !unix || purego

package lookup

import (
	"fmt"
	"io"
	"os"
)

// mapFile reads the first size bytes of a file.
func mapFile(f *os.File, size int64) (data []byte, release func() error, err error) {
	if int64(int(size)) != size {
		return nil, nil, fmt.Errorf("a file of %d bytes does not fit this machine's addresses", size)
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, size), data); err != nil {
		return nil, nil, err
	}
	return data, func() error { return nil }, nil
}
