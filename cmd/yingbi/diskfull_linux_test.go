package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What leaves the domain for a disk that is full: nothing half-written is left
// there, the message says what to do, and with room made the same command does it.
func TestExportsOnAFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("skipped: no small disk can be had here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	on := func(name string) string { return filepath.Join(disk, name) }
	for _, setup := range [][]string{
		{"identity", "new", at("authoriser"), "--role", "authoriser", "--id", "bureau"},
		{"identity", "new", at("authority"), "--role", "authority", "--id", "prices"},
		{"identity", "new", at("enterprise"), "--role", "enterprise", "--id", "91330100MA2AXK7T8P", "--name", "Northern"},
		{"init", at("domain"), "--operator", "91310000MA1FL5XW2J", "--name", "Operator", "--origin", "sample.example/yingbi", "--machine-key", at("machine.key"),
			"--authoriser", at("authoriser/public.key"), "--authority", at("authority/public.key")},
	} {
		if code, _, errOut := runLine(t, nil, setup...); code != exitOK {
			t.Fatal(errOut)
		}
	}
	if err := os.WriteFile(at("pass"), []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := map[string][]string{
		"log --export":  {"log", "--export", on("log.jsonl")},
		"backup":        {"backup", on("domain.backup"), "--backup-passphrase-file", at("pass")},
		"identity sign": {"identity", "sign", at("enterprise/request.json"), "--out", on("enrolment.json"), "--manifest", on("enterprise.yaml")},
	}
	fill(t, on("filler"))
	for name, args := range lines {
		code, _, errOut := runLine(t, nil, append(args, "-d", at("domain"), "--machine-key", at("machine.key"))...)
		if code != exitError || !strings.Contains(errOut, "no space left on device: make room there, or give another place") {
			t.Errorf("%s: exit status %d: %s", name, code, errOut)
		}
	}
	left, err := os.ReadDir(disk)
	if err != nil || len(left) != 1 {
		t.Errorf("left on the full disk: %v, %v", left, err)
	}
	if err := os.Remove(on("filler")); err != nil {
		t.Fatal(err)
	}
	for name, args := range lines {
		if code, _, errOut := runLine(t, nil, append(args, "-d", at("domain"), "--machine-key", at("machine.key"))...); code != exitOK {
			t.Errorf("%s, with room made: exit status %d: %s", name, code, errOut)
		}
	}
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := io.WriteString(f, strings.Repeat("x", 512)); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
