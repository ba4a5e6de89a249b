package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// story is a domain's whole life, with all that was printed on the way.
type story struct {
	t       *testing.T
	dir     string // everything is in it
	domain  string
	env     map[string]string
	printed bytes.Buffer
	secrets secrets
}

const passphrase = "correct-horse-QX7-battery-staple"

// Data that must stay where it is: no other text holds these.
const (
	rows        = 60
	nameStem    = "ZQX Holdings "
	hiddenStem  = "hidden-ZQX-"
	absent      = "A990077"
	bandedLabel = "zqxtransit"
)

func account(i int) string { return fmt.Sprintf("A%06d", 731000+i*137) }

func data() string {
	var b strings.Builder
	b.WriteString("account,name,sector,secret\n")
	for i := range rows {
		fmt.Fprintf(&b, "%s,%s%d,%s,%s%d\n", account(i), nameStem, i, []string{bandedLabel, "zqxretail"}[i%2], hiddenStem, i)
	}
	return b.String()
}

func (s *story) path(name string) string { return filepath.Join(s.dir, name) }

func (s *story) write(name, content string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// run runs a command line and writes down what it says.
func (s *story) run(want int, args ...string) {
	s.t.Helper()
	var out bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &out, clock: time.Now, getenv: func(name string) string { return s.env[name] }}
	code := e.run(s.t.Context(), args)
	fmt.Fprintf(&s.printed, "$ %s\n%s", args, out.Bytes())
	if code != want {
		s.t.Fatalf("yingbi %v: exit status %d, want %d:\n%s", args, code, want, out.Bytes())
	}
}

// lockedBuffer is written to by a server that runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// serve serves the domain until stop, which writes down what it said.
func (s *story) serve() (address string, stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	ready, done := make(chan string, 1), make(chan int, 1)
	out := new(lockedBuffer)
	e := &env{stdin: strings.NewReader(""), stdout: out, stderr: out, clock: time.Now, getenv: func(name string) string { return s.env[name] },
		ready: func(address string) { ready <- address }}
	go func() { done <- e.run(ctx, []string{"serve", "--listen", "127.0.0.1:0"}) }()
	select {
	case address = <-ready:
	case code := <-done:
		s.t.Fatalf("serve: exit status %d:\n%s", code, out.b.Bytes())
	}
	return address, func() {
		cancel()
		if code := <-done; code != exitOK {
			s.t.Errorf("serve: exit status %d", code)
		}
		s.printed.Write(out.b.Bytes())
	}
}

// harvest takes down every secret that the domain has now. The wrapping keys
// alone nobody is given, and so cannot be looked for.
func (s *story) harvest() {
	s.t.Helper()
	ring, err := keyring.Open(filepath.Join(s.domain, "keyring.age"), keyring.Passphrase([]byte(passphrase)), keyring.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer ring.Close()
	names, err := ring.SecretNames(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range names {
		secret, err := ring.Secret(s.t.Context(), name)
		if err != nil {
			s.t.Fatal(err)
		}
		s.secrets["secret "+name] = secret
	}
	files, err := filepath.Glob(filepath.Join(s.domain, "sealed", "*.keys"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range files {
		var set struct {
			Version int
			Columns map[string][]byte
		}
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &set)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		for column, wrapped := range set.Columns {
			key, err := ring.Unwrap(s.t.Context(), fmt.Sprintf("yingbi/sealed/2/licences/%d/column/%s", set.Version, column), wrapped)
			if err != nil {
				s.t.Fatal(err)
			}
			s.secrets[fmt.Sprintf("data key %s %d", column, set.Version)] = key
		}
	}
}

// ownKeys are an identity's private keys.
func (s *story) ownKeys(name string) {
	s.t.Helper()
	for _, file := range []string{"signing.key", "tls.key"} {
		b, err := os.ReadFile(filepath.Join(s.path(name), file))
		if err != nil {
			continue // a role that does not connect
		}
		block, _ := pem.Decode(b)
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			s.t.Fatal(err)
		}
		switch k := key.(type) {
		case ed25519.PrivateKey:
			s.secrets[name+" "+file] = k.Seed()
		case *ecdsa.PrivateKey:
			d, err := k.Bytes()
			if err != nil {
				s.t.Fatal(err)
			}
			s.secrets[name+" "+file] = d
		}
	}
}

// folder reads every file under a folder.
func folder(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		into[filepath.Join(filepath.Base(dir), name)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A domain's whole life, errors provoked on every layer included, leaves no key
// and nobody's data in what is printed, logged, stored, exported or sent: only in
// the enterprise's own files are the identifiers that it asked about, and only in
// the provider's file is the data.
func TestNoSecretLeaves(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	s := newStory(t)
	s.founded()
	address, stop := s.serve()
	d, err := enclave.Open(t.Context(), s.domain, keyring.Passphrase([]byte(passphrase)), enclave.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wire := newTap(t, d, s.path("northern"), address)
	s.env["YINGBI_GATEWAY"] = wire.address
	s.asked()
	malformed(t, wire, s.path("northern"))
	s.rotated()
	s.broken()
	sent := wire.bytes()
	_, _ = pb.NewGatewayClient(dialAs(t, s.path("northern"), wire.address)).Quote(t.Context(), &pb.QuoteRequest{Product: account(7)}) // see planted
	tapped := wire.bytes()
	stop()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	s.damaged()

	written := map[string][]byte{"what was printed and logged": s.printed.Bytes(), "the wire": sent}
	folder(t, s.domain, written)
	folder(t, s.path("exports"), written)
	folder(t, filepath.Join(s.path("northern"), "state", "receipts"), written)
	total := 0
	for _, b := range written {
		total += len(b)
	}
	t.Logf("%d secrets looked for in %d files and streams, %d bytes, %d of them from the wire", len(s.secrets), len(written), total, len(written["the wire"]))
	if len(s.secrets) < 100 || len(written) < 20 || len(written["the wire"]) < 50_000 {
		t.Error("that is less than this story makes: is everything looked at?")
	}
	for _, found := range scan(s.secrets, written) {
		t.Errorf("%s is in %s", found.secret, found.where)
	}
	places := secrets{"the domain's folder": []byte(s.domain), "a table's file": []byte(".tbl"), "a sealed file": []byte(".parquet"), "the keyring's file": []byte("keyring.age"), "a stack": []byte("goroutine ")}
	for _, found := range scan(places, map[string][]byte{"the wire": sent}) {
		t.Errorf("%s is named on the wire", found.secret)
	}

	// It can fail: what is planted is found, a cell that a client sends as it is
	// and a key in the domain's folder among it.
	t.Run("planted", func(t *testing.T) {
		s.secrets["a key"] = s.secrets["data key name 1"]
		if len(s.secrets["a key"]) != 32 {
			t.Fatal("the first version's data keys are not among the secrets")
		}
		if err := os.WriteFile(filepath.Join(s.domain, "sealed", "note"), []byte(hex.EncodeToString(s.secrets["a key"])), 0o600); err != nil {
			t.Fatal(err)
		}
		planted := map[string][]byte{"the wire": tapped}
		folder(t, s.domain, planted)
		found := scan(s.secrets, planted)
		for _, want := range []leak{{"account of row 7", "the wire"}, {"a key", "domain/sealed/note"}} {
			if !slices.Contains(found, want) {
				t.Errorf("%v was planted and not found; found %v", want, found)
			}
		}
	})
}

func newStory(t *testing.T) *story {
	s := &story{t: t, dir: t.TempDir(), secrets: secrets{"the passphrase": []byte(passphrase), "an absent identifier": []byte(absent)}}
	s.domain = s.path("domain")
	s.env = map[string]string{"YINGBI_DOMAIN": s.domain, "YINGBI_PASSPHRASE": passphrase, "YINGBI_IDENTITY": s.path("northern")}
	for i := range rows {
		s.secrets[fmt.Sprintf("account of row %d", i)] = []byte(account(i))
		s.secrets[fmt.Sprintf("name of row %d", i)] = fmt.Appendf(nil, "%s%d", nameStem, i)
		s.secrets[fmt.Sprintf("hidden cell of row %d", i)] = fmt.Appendf(nil, "%s%d", hiddenStem, i)
	}
	s.secrets["a label"] = []byte(bandedLabel)
	if err := os.Mkdir(s.path("exports"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// founded is the story from an empty folder to a published product.
func (s *story) founded() {
	for name, role := range map[string]string{"authoriser": "authoriser", "authority": "authority", "reviewer": "reviewer"} {
		s.run(exitOK, "identity", "new", s.path(name), "--role", role, "--id", name)
	}
	s.run(exitOK, "identity", "new", s.path("northern"), "--role", "enterprise", "--id", enclavetest.Northern, "--name", "Northern")
	s.init()
	s.run(exitOK, "identity", "sign", filepath.Join(s.path("reviewer"), "request.json"), "--out", filepath.Join(s.path("reviewer"), "enrolment.json"))
	s.run(exitOK, "identity", "sign", filepath.Join(s.path("northern"), "request.json"), "--out", filepath.Join(s.path("northern"), "enrolment.json"), "--manifest", s.path("enterprise.yaml"))
	manifests := s.write("manifests.yaml", enclavetest.Manifests)
	s.run(exitOK, "approve", manifests, "--identity", s.path("authoriser"))
	s.run(exitOK, "apply", "-f", manifests)
	s.run(exitOK, "apply", "-f", s.path("enterprise.yaml"), "-f", s.write("grants.yaml", enclavetest.Grants(enclavetest.Northern)))
	for _, name := range []string{"authoriser", "authority", "reviewer", "northern"} {
		s.ownKeys(name)
	}

	// Faults in the data are told without the data.
	s.run(exitError, "import", "licences", s.write("bad.csv", data()+"ZQX-NOT-AN-ACCOUNT,"+nameStem+"1,"+bandedLabel+",x\n"))
	s.run(exitError, "import", "licences", s.write("twice.csv", data()+account(3)+","+nameStem+"3,"+bandedLabel+",x\n"))
	s.run(exitError, "import", "licences", s.write("quoted.csv", data()+`"`+account(3)+"\n"))
	s.secrets["a faulty cell"] = []byte("ZQX-NOT-AN-ACCOUNT")
	s.run(exitOK, "import", "licences", s.write("data.csv", data()))
	s.run(exitError, "publish", "sector")
	s.run(exitOK, "review", "sector", "--identity", s.path("reviewer"))
	s.run(exitOK, "publish", "sector", "--dry-run")
	s.run(exitOK, "publish", "sector")
	s.harvest()
}

// init makes the domain as the command does, with a passphrase that is quick to
// try: this story opens the keyring often.
func (s *story) init() {
	s.t.Helper()
	pinned := func(name string) ed25519.PublicKey {
		key, err := publicKey(filepath.Join(s.path(name), "public.key"))
		if err != nil {
			s.t.Fatal(err)
		}
		return key
	}
	o := enclavetest.InitOptions(time.Now, pinned("authoriser"), pinned("authority"))
	o.Unlock = keyring.Passphrase([]byte(passphrase))
	d, err := enclave.Init(s.t.Context(), s.domain, o)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		s.t.Error(err)
	}
}

// asked is what an enterprise asks, and what it is denied.
func (s *story) asked() {
	in := s.write("ids.csv", "ref,account\na,"+account(1)+"\nb,"+account(2)+"\nc,"+absent+"\n")
	s.run(exitOK, "products", "--mine")
	s.run(exitOK, "quote", "--product", "sector", "--purpose", "industry", "--units", "3")
	s.run(exitOK, "verify", "--product", "sector", "--purpose", "industry", "--in", in, "--out", s.path("answers.csv"))
	answers, err := os.ReadFile(s.path("answers.csv"))
	if err != nil || !bytes.Contains(answers, []byte(bandedLabel)) || !bytes.Contains(answers, []byte("zqxretail")) {
		s.t.Fatalf("the answers %q, %v", answers, err)
	}
	s.run(exitError, "verify", "--product", "nothing", "--purpose", "industry", "--in", in)
	s.run(exitError, "verify", "--product", "holder", "--purpose", "industry", "--in", in)
	s.run(exitError, "verify", "--product", "sector", "--purpose", "public-governance", "--in", in)
	s.run(exitOK, "suspend", "sector")
	s.run(exitError, "verify", "--product", "sector", "--purpose", "industry", "--in", in)
	s.run(exitOK, "resume", "sector")
}

// malformed calls are refused without a word of what is inside.
func malformed(t *testing.T, wire *tap, identity string) {
	t.Helper()
	gateway := pb.NewGatewayClient(dialAs(t, identity, wire.address))
	refused := func(what string, err error) {
		t.Helper()
		if status.Code(err) == 0 {
			t.Errorf("%s was taken", what)
		}
	}
	_, err := gateway.Evaluate(t.Context(), &pb.EvaluateRequest{Header: []byte("{"), Signature: make([]byte, 64), Blinded: make([]byte, 31)})
	refused("a header that is none", err)
	_, err = gateway.Lookup(t.Context(), &pb.LookupRequest{Job: "00000000-0000-4000-8000-000000000000", Queries: [][]byte{{1}}})
	refused("a job that is unknown", err)
	_, err = gateway.Checkpoint(t.Context(), &pb.CheckpointRequest{Product: "../../keyring", Epoch: 1})
	refused("a product that is a path", err)
	stream, err := gateway.PublicPart(t.Context(), &pb.PublicPartRequest{Digest: "../../../etc/passwd"})
	if err == nil {
		_, err = stream.Recv()
	}
	refused("a digest that is a path", err)
}

// rotated is every rotation, a shred, a backup and the exports.
func (s *story) rotated() {
	s.run(exitOK, "rotate", "wrapping")
	s.run(exitOK, "rotate", "columns", "licences")
	s.harvest()
	s.run(exitOK, "rotate", "wrapping", "--destroy-old")
	s.run(exitOK, "rotate", "certificate")
	s.run(exitOK, "rotate", "oprf", "sector")
	s.harvest()
	in := s.write("more.csv", "ref,account\na,"+account(5)+"\n")
	s.run(exitOK, "verify", "--product", "sector", "--purpose", "industry", "--in", in, "--out", s.path("more-answers.csv"))
	s.run(exitOK, "shred", "column", "licences", "secret", "--yes")
	s.run(exitError, "shred", "column", "licences", "sector", "--yes")
	s.run(exitOK, "suspend", "sector")
	s.run(exitOK, "shred", "epoch", "sector", "1", "--yes")
	s.run(exitOK, "resume", "sector")
	s.run(exitOK, "rotate", "ledger")
	s.harvest()
	s.run(exitOK, "keyring", "status")
	s.run(exitOK, "doctor")
	s.run(exitOK, "log", "--json")
	s.run(exitOK, "log", "--export", s.path("exports/log.jsonl"))
	s.run(exitOK, "statement", "--enterprise", enclavetest.Northern, "--month", time.Now().UTC().Add(8*time.Hour).Format("2006-01"), "--json")
	s.run(exitOK, "backup", s.path("exports/backup"), "--backup-passphrase-file", s.write("backup.pass", "another-QX9-passphrase\n"))
	s.secrets["the backup's passphrase"] = []byte("another-QX9-passphrase")
}

// broken are errors of the gateway while it serves: what it was serving from is
// altered under its hands.
func (s *story) broken() {
	s.run(exitOK, "publish", "sector")
	table := filepath.Join(s.domain, "tables", "sector-2-2.tbl")
	b, err := os.ReadFile(table)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Remove(table); err != nil { // before it is opened, or beside: it answers or says that it cannot
		s.t.Fatal(err)
	}
	in := s.write("last.csv", "ref,account\na,"+account(8)+"\n")
	var out bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &out, clock: time.Now, getenv: func(name string) string { return s.env[name] }}
	e.run(s.t.Context(), []string{"verify", "--product", "sector", "--purpose", "industry", "--in", in, "--out", s.path("last-answers.csv")})
	s.printed.Write(out.Bytes())
	if err := os.WriteFile(table, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// damaged are errors of the operator's own commands.
func (s *story) damaged() {
	damage := func(path string, run func()) {
		b, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, b[:len(b)-len(b)/3], 0o600); err != nil {
			s.t.Fatal(err)
		}
		run()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	sealed := filepath.Join(s.domain, "sealed", "licences-2")
	damage(sealed+".keys", func() { s.run(exitError, "publish", "sector") })
	damage(sealed+".parquet", func() { s.run(exitError, "publish", "sector") })
	damage(filepath.Join(s.domain, "keyring.age"), func() { s.run(exitError, "publish", "sector") })
	wrong := "wrong-QX8-passphrase-of-somebody"
	s.secrets["a wrong passphrase"] = []byte(wrong)
	s.env["YINGBI_PASSPHRASE"] = wrong
	s.run(exitError, "publish", "sector")
	s.env["YINGBI_PASSPHRASE"] = passphrase
}
