package keyring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
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
