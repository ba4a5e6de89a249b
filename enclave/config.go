package enclave

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// ConfigFile is the name of a domain's configuration.
const ConfigFile = "yingbi.yaml"

const (
	configVersion = 1
	maxConfig     = 64 << 10
)

// Config is DIR/yingbi.yaml. Init writes every option with what it means; an
// option left out has its default, an option that is unknown is an error.
type Config struct {
	Version  int      `yaml:"version"`
	Origin   string   `yaml:"origin"`   // the log's name; never changes
	Operator Operator `yaml:"operator"` //
	Keyring  Keyring  `yaml:"keyring"`  //
	Database string   `yaml:"database"` // sqlite:FILE, relative to the domain's folder, or a postgres:// URL
	Listen   string   `yaml:"listen"`   // host:port; port 0 takes a free one
	Hosts    []string `yaml:"hosts"`    // names and addresses in the server's certificate
	Language string   `yaml:"language"` // en, zh
	Limits   Limits   `yaml:"limits"`
	Publish  Building `yaml:"publish"`
}

// Operator is who runs the domain 运营机构.
type Operator struct {
	Code string `yaml:"code"` // unified social credit code
	Name string `yaml:"name"`
}

// Limits bound what enterprises can make a serving process do.
type Limits struct {
	Kernels                  int      `yaml:"kernels"`                  // evaluations and lookups computed at once; 0: one a processor
	Queue                    int      `yaml:"queue"`                    // calls that may wait for one
	PerEnterprise            int      `yaml:"perEnterprise"`            // calls of one enterprise at once
	QueriesPerCall           int      `yaml:"queriesPerCall"`           // queries in one Lookup
	DenialsPerMinute         int      `yaml:"denialsPerMinute"`         // denied entries of one enterprise; the rest are counted in one
	MaxMessageBytes          int      `yaml:"maxMessageBytes"`          //
	BytesInFlight            int      `yaml:"bytesInFlight"`            // of requests held at once; 0: a quarter of GOMEMLIMIT, else 512 MiB
	CallTimeout              Duration `yaml:"callTimeout"`              //
	UploadBytesPerEnterprise int      `yaml:"uploadBytesPerEnterprise"` // of payloads sent ahead of their jobs, and so of one
	UploadBytes              int      `yaml:"uploadBytes"`              // of all enterprises'
	UploadKeep               Duration `yaml:"uploadKeep"`               // of one that nobody touches
	CertificateDays          int      `yaml:"certificateDays"`          // how long a signed identity is valid
	ServerCertDaysLeft       int      `yaml:"serverCertDaysLeft"`       // the server's certificate is renewed when it has fewer days left
}

// Building says how tables are built.
type Building struct {
	Workers int `yaml:"workers"` // 0: one a processor
}

// Duration is a time.Duration written as 2m30s.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }

// DefaultConfig is what Init writes, before the names of a domain are in it.
func DefaultConfig() Config {
	return Config{
		Version:  configVersion,
		Keyring:  Keyring{Kind: KeyringEmbedded},
		Database: "sqlite:yingbi.db",
		Listen:   "127.0.0.1:8443",
		Hosts:    []string{"localhost", "127.0.0.1", "::1"},
		Language: "en",
		Limits: Limits{
			Queue: 256, PerEnterprise: 16, QueriesPerCall: 64, DenialsPerMinute: 20,
			MaxMessageBytes: 32 << 20, CallTimeout: Duration(2 * time.Minute),
			UploadBytesPerEnterprise: 1 << 30, UploadBytes: 8 << 30, UploadKeep: Duration(24 * time.Hour),
			CertificateDays: 365, ServerCertDaysLeft: 30,
		},
	}
}

//go:embed yingbi.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New(ConfigFile).Parse(configText))

// Encode writes the configuration with its comments.
func (c *Config) Encode() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := configTemplate.Execute(&b, c); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	// What is written must read back as what was meant.
	back, err := DecodeConfig(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	if fmt.Sprint(*back) != fmt.Sprint(*c) {
		return nil, errors.New("writing the configuration: an option does not read back")
	}
	return b.Bytes(), nil
}

// DecodeConfig reads a configuration strictly.
func DecodeConfig(b []byte) (*Config, error) {
	if len(b) > maxConfig {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", ConfigFile, len(b), maxConfig)
	}
	// A later form has options that this one does not know: its number first.
	var form struct {
		Version int `yaml:"version"`
	}
	if err := yaml.Unmarshal(b, &form); err == nil && form.Version > configVersion {
		return nil, fmt.Errorf("%s is of version %d, this program knows up to %d: use a newer yingbi", ConfigFile, form.Version, configVersion)
	}
	c := DefaultConfig()
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&c); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ConfigFile, err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

func readConfig(dir string) (*Config, error) {
	b, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	return DecodeConfig(b)
}

var originPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// Validate checks every option.
func (c *Config) Validate() error {
	fail := func(option string, got any, expected string) error {
		return fmt.Errorf("%s: %s is %v, expected %s", ConfigFile, option, got, expected)
	}
	if c.Version != configVersion {
		return fail("version", c.Version, fmt.Sprint(configVersion))
	}
	if len(c.Origin) > 200 || !originPattern.MatchString(c.Origin) {
		return fail("origin", fmt.Sprintf("%.200q", c.Origin), "a name such as data.example.gov.cn/yingbi")
	}
	if err := vocabulary.CheckCreditCode(c.Operator.Code); err != nil {
		return fmt.Errorf("%s: operator.code: %w", ConfigFile, err)
	}
	if c.Operator.Name == "" || len(c.Operator.Name) > 200 || strings.ContainsFunc(c.Operator.Name, func(r rune) bool { return r < 0x20 }) {
		return fail("operator.name", fmt.Sprintf("%.200q", c.Operator.Name), "1 to 200 bytes on one line")
	}
	if err := c.Keyring.validate(fail); err != nil {
		return err
	}
	if !strings.HasPrefix(c.Database, "sqlite:") && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		return fail("database", "of another kind", "sqlite:FILE or postgres://…") // the value may hold a password
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fail("listen", fmt.Sprintf("%.200q", c.Listen), "host:port")
	}
	if len(c.Hosts) == 0 || len(c.Hosts) > 100 {
		return fail("hosts", fmt.Sprintf("a list of %d", len(c.Hosts)), "1 to 100 names or addresses")
	}
	if c.Language != "en" && c.Language != "zh" {
		return fail("language", fmt.Sprintf("%.20q", c.Language), "en or zh")
	}
	return c.validateLimits(fail)
}

func (c *Config) validateLimits(fail func(string, any, string) error) error {
	for _, o := range []struct {
		option      string
		got         int
		least, most int
	}{
		{"limits.kernels", c.Limits.Kernels, 0, 1024},
		{"limits.queue", c.Limits.Queue, 0, 1 << 20},
		{"limits.perEnterprise", c.Limits.PerEnterprise, 1, 1 << 16},
		{"limits.queriesPerCall", c.Limits.QueriesPerCall, 1, 4096},
		{"limits.denialsPerMinute", c.Limits.DenialsPerMinute, 1, 1 << 20},
		{"limits.maxMessageBytes", c.Limits.MaxMessageBytes, 1 << 20, 1 << 30},
		{"limits.bytesInFlight", c.Limits.BytesInFlight, 0, 1 << 40},
		{"limits.uploadBytesPerEnterprise", c.Limits.UploadBytesPerEnterprise, 1 << 20, 1 << 40},
		{"limits.uploadBytes", c.Limits.UploadBytes, 1 << 20, 1 << 50},
		{"limits.certificateDays", c.Limits.CertificateDays, 1, 3650},
		{"limits.serverCertDaysLeft", c.Limits.ServerCertDaysLeft, 1, 300},
		{"publish.workers", c.Publish.Workers, 0, 1024},
	} {
		if o.got < o.least || o.got > o.most {
			return fail(o.option, o.got, fmt.Sprintf("%d to %d", o.least, o.most))
		}
	}
	if t := time.Duration(c.Limits.CallTimeout); t < time.Second || t > time.Hour {
		return fail("limits.callTimeout", t, "1s to 1h")
	}
	if t := time.Duration(c.Limits.UploadKeep); t < time.Minute || t > 90*24*time.Hour {
		return fail("limits.uploadKeep", t, "1m to 2160h")
	}
	return nil
}
