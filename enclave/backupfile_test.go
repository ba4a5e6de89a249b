package enclave

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

func sampleManifest() *backupManifest {
	return &backupManifest{
		Format: backupFormat, Made: ledger.NewTime(time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)), Origin: "test.example/yingbi", Operator: "91310000MA1FL5XW2J", Size: 3,
		Root: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", Keyring: KeyringEmbedded,
		Layouts: backupLayouts{Config: configVersion, Database: 1}, Rows: map[string]int64{"entries": 3},
		Items: []backupItem{{Name: ConfigFile}, {Name: keyringFile, Size: 7}, {Name: caFile}, {Name: databaseItem, Size: -1}, {Name: "sealed/a-1.parquet", Size: 9}},
	}
}

// A manifest names a domain's own files and nothing else, each once.
func TestManifestRefuses(t *testing.T) {
	for name, change := range map[string]func(m *backupManifest){
		"no tree":                func(m *backupManifest) { m.Size = 0 },
		"no root":                func(m *backupManifest) { m.Root = "x" },
		"a file outside":         func(m *backupManifest) { m.Items[4].Name = "../x" },
		"a folder of no domain":  func(m *backupManifest) { m.Items[4].Name = "bin/sh" },
		"another kind of file":   func(m *backupManifest) { m.Items[4].Name = "sealed/x.sh" },
		"the mark":               func(m *backupManifest) { m.Items[4].Name = "mark" },
		"a file twice":           func(m *backupManifest) { m.Items[4] = m.Items[0] },
		"a negative size":        func(m *backupManifest) { m.Items[4].Size = -1 },
		"a large small file":     func(m *backupManifest) { m.Items[0].Size = maxSmall + 1 },
		"no database":            func(m *backupManifest) { m.Items = m.Items[:3] },
		"no keyring":             func(m *backupManifest) { m.Items[1].Name = "certs/server.pem" },
		"a keyring beside Vault": func(m *backupManifest) { m.Keyring = KeyringVault },
	} {
		m := sampleManifest()
		change(m)
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	for name, change := range map[string]func(m *backupManifest){
		"a later format":        func(m *backupManifest) { m.Format = backupFormat + 1 },
		"a later configuration": func(m *backupManifest) { m.Layouts.Config = configVersion + 1 },
	} {
		m := sampleManifest()
		change(m)
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(b); err == nil || !strings.Contains(err.Error(), "use a newer yingbi") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	b, err := sampleManifest().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeManifest(again); err != nil || len(back.Items) != len(m.Items) {
			t.Fatalf("it does not read back: %v", err)
		}
		if !json.Valid(bytes.TrimSpace(b)) {
			t.Fatal("no JSON was taken")
		}
	})
}
