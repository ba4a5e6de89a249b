package enclave

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/yingbi/yingbi/enclave/keyring"
)

func sampleConfig() *Config {
	c := DefaultConfig()
	c.Origin, c.Operator = "data.example.gov.cn/yingbi", Operator{Code: "91310000MA1FL5XW2J", Name: `Test "operator": 运营`}
	return &c
}

// What is written has every option, says what each means, and reads back.
func TestConfigIsWrittenWhole(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { writtenWhole(t, sampleConfig()) })
	t.Run("vault", func(t *testing.T) {
		c := sampleConfig()
		v := keyring.VaultConfig{Address: "https://vault.example:8200", CAFile: `a "quoted" name.pem`}
		v.Auth = keyring.VaultAuth{Method: keyring.VaultAppRole, RoleIDFile: "id", SecretIDFile: "secret"}
		c.Keyring = Keyring{Kind: KeyringVault, Vault: v.WithDefaults()}
		writtenWhole(t, c)
	})
}

func writtenWhole(t *testing.T, c *Config) {
	c.Limits.Kernels, c.Publish.Workers, c.Hosts = 3, 2, []string{"a.example", "10.0.0.1"}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeConfig(b)
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("read back: %v\n%+v\n%+v", err, back, c)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, typ reflect.Type, tree map[string]any)
	walk = func(path string, typ reflect.Type, tree map[string]any) {
		for i := range typ.NumField() {
			name := typ.Field(i).Tag.Get("yaml")
			value, ok := tree[name]
			if path+name == "keyring.vault" && c.Keyring.Kind == KeyringEmbedded {
				continue
			}
			if !ok {
				t.Errorf("option %s%s is not written", path, name)
			}
			if sub, isMap := value.(map[string]any); isMap {
				walk(path+name+".", typ.Field(i).Type, sub)
				continue
			}
			line := bytes.Index(b, []byte("\n"+strings.Repeat("  ", strings.Count(path, "."))+name+":"))
			if line < 0 || !strings.HasPrefix(lastLine(b[:line]), "#") && path+name != "operator.code" && path+name != "operator.name" {
				t.Errorf("option %s%s has no comment above it", path, name)
			}
		}
	}
	walk("", reflect.TypeFor[Config](), tree)
}

func lastLine(b []byte) string {
	return strings.TrimSpace(string(b[bytes.LastIndexByte(b, '\n')+1:]))
}

// The defaults that the file names are the defaults.
func TestConfigDefaults(t *testing.T) {
	c, err := DecodeConfig([]byte("version: 1\norigin: a.example/x\noperator: {code: 91310000MA1FL5XW2J, name: x}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Origin, want.Operator = c.Origin, c.Operator
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got %+v, want %+v", *c, want)
	}
}

func TestConfigRefuses(t *testing.T) {
	good, err := sampleConfig().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown option":        {"language: en", "language: en\nlanguages: zh"},
		"another language":         {"language: en", "language: fr"},
		"another version":          {"version: 1", "version: 2"},
		"a wrong type":             {"queue: 256", "queue: many"},
		"a negative limit":         {"queue: 256", "queue: -1"},
		"a time without a unit":    {"callTimeout: 2m0s", "callTimeout: 120"},
		"a time too long":          {"callTimeout: 2m0s", "callTimeout: 2h"},
		"another keyring":          {"kind: embedded", "kind: file"},
		"a Vault that is not used": {"kind: embedded", "kind: embedded\n  vault: {address: https://v.example}"},
		"a Vault without a login":  {"kind: embedded", "kind: vault\n  vault: {address: https://v.example}"},
		"another database":         {`"sqlite:yingbi.db"`, `"mysql:yingbi"`},
		"an address without port":  {`"127.0.0.1:8443"`, `"127.0.0.1"`},
		"an origin with a space":   {"data.example.gov.cn/yingbi", "data example"},
		"an invalid credit code":   {"91310000MA1FL5XW2J", "91310000MA1FL5XW2K"},
	} {
		text := strings.Replace(string(good), change[0], change[1], 1)
		if text == string(good) {
			t.Fatalf("%s: nothing to change", name)
		}
		if c, err := DecodeConfig([]byte(text)); err == nil {
			t.Errorf("%s is accepted: %+v", name, c)
		}
	}
	// A database's URL may hold a password.
	text := strings.Replace(string(good), `"sqlite:yingbi.db"`, `"mysql://u:hunter2@h/d"`, 1)
	if _, err := DecodeConfig([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	b, err := sampleConfig().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("version: 1\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeConfig(b)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("decoded and is not valid: %v", err)
		}
	})
}
