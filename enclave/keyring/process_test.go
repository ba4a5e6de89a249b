package keyring

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const writerEnv = "YINGBI_TEST_KEYRING_WRITER"

// TestWriterProcess is not a test: it is what TestProcesses runs beside itself.
func TestWriterProcess(t *testing.T) {
	id := os.Getenv(writerEnv)
	if id == "" {
		t.Skip("run by TestProcesses")
	}
	k, err := Open(os.Getenv(writerEnv+"_PATH"), MachineKey(os.Getenv(writerEnv+"_KEY")), testOpts)
	must(t, err)
	defer k.Close()
	for n := range writerSteps {
		must(t, k.CreateSecret(t.Context(), fmt.Sprintf("p/%s/%d", id, n), []byte(id)))
		_, err := k.RotateWrapping(t.Context())
		must(t, err)
		if n > 0 {
			must(t, k.DestroySecret(t.Context(), fmt.Sprintf("p/%s/%d", id, n-1)))
		}
		for {
			m, err := k.Mark(t.Context())
			must(t, err)
			err = k.AdvanceMark(t.Context(), m, at(m.Size+1))
			if err == nil {
				break
			}
			if !errors.Is(err, ErrMarkMoved) {
				t.Fatal(err)
			}
		}
	}
}

const writerSteps = 6

// Real processes at once: no secret, no wrapping key, no destruction and no
// step of the mark is lost.
func TestProcesses(t *testing.T) {
	k, path, unlock := newKeyring(t)
	const writers = 3
	var running []*exec.Cmd
	for i := range writers {
		c := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%d", writerEnv, i), writerEnv+"_PATH="+path, writerEnv+"_KEY="+unlock.machineKey)
		must(t, c.Start())
		running = append(running, c)
	}
	for _, c := range running {
		must(t, c.Wait())
	}
	for i := range writers {
		for n := range writerSteps {
			v, err := k.Secret(t.Context(), fmt.Sprintf("p/%d/%d", i, n))
			if last := n == writerSteps-1; last && (err != nil || string(v) != fmt.Sprint(i)) || !last && !errors.Is(err, ErrDestroyed) {
				t.Errorf("process %d's secret %d: %q, %v", i, n, v, err)
			}
		}
	}
	if v, err := k.RotateWrapping(t.Context()); err != nil || v != writers*writerSteps+2 {
		t.Errorf("the wrapping key after %d: %d, %v", writers*writerSteps+1, v, err)
	}
	if m, err := k.Mark(t.Context()); err != nil || m.Size != writers*writerSteps {
		t.Errorf("the mark after %d steps: %v, %v", writers*writerSteps, m, err)
	}
}

// TestChangingProcess is not a test: it is what TestKilledWhileChanging kills.
func TestChangingProcess(t *testing.T) {
	dir := os.Getenv(writerEnv + "_CHANGES")
	if dir == "" {
		t.Skip("run by TestKilledWhileChanging")
	}
	ctx := t.Context()
	k, err := openEither(dir)
	must(t, err)
	names, err := k.SecretNames(ctx)
	must(t, err)
	for n := len(names); ; n++ {
		must(t, k.CreateSecret(ctx, fmt.Sprintf("s/%06d", n), []byte{1}))
		fmt.Printf("made s/%06d\n", n) // acknowledged: it may not be lost
		_, err := k.RotateWrapping(ctx)
		must(t, err)
		_, err = k.DestroyWrapping(ctx)
		must(t, err)
		must(t, k.Reseal(ctx, Passphrase(fmt.Appendf(nil, "p%d", n%2)), testOpts))
		m := mustMark(t, k)
		must(t, k.AdvanceMark(ctx, m, at(m.Size+1)))
	}
}

func mustMark(t *testing.T, k *Embedded) Mark {
	t.Helper()
	m, err := k.Mark(t.Context())
	must(t, err)
	return m
}

// openEither opens the keyring in dir by whichever passphrase is in force.
func openEither(dir string) (k *Embedded, err error) {
	for _, p := range []string{"p0", "p1"} {
		if k, err = Open(filepath.Join(dir, "keyring.age"), Passphrase([]byte(p)), testOpts); err == nil {
			return k, nil
		}
	}
	return nil, err
}

// A process that is killed while it creates, rotates, destroys and seals anew
// leaves a keyring that opens under the passphrase before or after, with all
// that it had acknowledged.
func TestKilledWhileChanging(t *testing.T) {
	dir := t.TempDir()
	k, err := Create(filepath.Join(dir, "keyring.age"), Passphrase([]byte("p0")), testOpts)
	must(t, err)
	must(t, k.Close())
	const kills = 8
	total := 0
	for kill := range kills {
		c := exec.Command(os.Args[0], "-test.run=^TestChangingProcess$")
		c.Env = append(os.Environ(), writerEnv+"_CHANGES="+dir)
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		var made []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "made "); ok {
				if made = append(made, name); len(made) == 2+kill {
					must(t, c.Process.Kill()) // wherever it is by now
				}
			}
		}
		_ = c.Wait() // killed
		if len(made) < 2 {
			t.Fatalf("kill %d: it made %d secrets", kill, len(made))
		}
		k, err := openEither(dir)
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		for _, name := range made {
			if _, err := k.Secret(t.Context(), name); err != nil {
				t.Errorf("kill %d: acknowledged and lost: %v", kill, err)
			}
		}
		mustMark(t, k)
		must(t, k.Close())
		total += len(made)
	}
	t.Logf("%d kills, %d acknowledged secrets", kills, total)
}
