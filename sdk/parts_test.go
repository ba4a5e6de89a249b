package sdk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Parts that were not used for 90 days go, and the least recently used beyond 32.
func TestPruneParts(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	c := &Client{state: t.TempDir(), clock: func() time.Time { return now }}
	if err := os.Mkdir(c.parts(), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name string, age time.Duration) {
		path := filepath.Join(c.parts(), name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (n int) {
		files, err := os.ReadDir(c.parts())
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	put("young", 89*24*time.Hour)
	put("old", 91*24*time.Hour)
	if err := c.pruneParts(); err != nil || left() != 1 {
		t.Errorf("%d parts are left, want the one of 89 days: %v", left(), err)
	}
	for i := range 40 {
		put(fmt.Sprint(i), time.Duration(i)*time.Hour)
	}
	put(".new-1", 300*24*time.Hour) // another process is writing it
	if err := c.pruneParts(); err != nil || left() != partsKept+1 {
		t.Errorf("%d parts are left, want %d and the one that is written: %v", left(), partsKept, err)
	}
	if _, err := os.Stat(filepath.Join(c.parts(), "31")); err != nil {
		t.Error(err)
	}
}
