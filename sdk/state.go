package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

// maxSmallFile bounds the files of an identity and of the state directory that
// hold keys, jobs and checkpoints.
const maxSmallFile = 64 << 10

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}

// writeFile replaces a file: after a crash it is the old one or the new one,
// whole, and once writeFile has returned it is the new one.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such thing
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// writeState writes a small file of the state directory.
func writeState(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer clear(b)
	return writeFile(path, b)
}

// ErrUnderWay refuses a Verify while another one, of this program or of
// another, asks the same about the same subjects: both would pay.
var ErrUnderWay = errors.New("the same is being asked about the same subjects already: wait until that ends")

// claim takes the work named by path for this call, against every other call
// and process. The file goes with the release.
func claim(path string) (release func() error, err error) {
	for {
		l := flock.New(path, flock.SetPermissions(0o600))
		ok, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !ok {
			return nil, ErrUnderWay
		}
		held, err := l.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), l.Unlock())
		}
		// The one before may have removed the file between its opening and
		// its locking here: then this lock is on a file without a name.
		if named, err := os.Stat(path); err == nil && os.SameFile(held, named) {
			return func() error { return errors.Join(removeIfThere(path), l.Unlock()) }, nil
		}
		if err := l.Unlock(); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// lockPoll is how often a lock that is held for a moment is tried again.
const lockPoll = 2 * time.Millisecond

// locked runs f while no other process runs it for the same path.
func locked(ctx context.Context, path string, f func() error) error {
	l := flock.New(path+".lock", flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return errors.Join(f(), l.Unlock())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
