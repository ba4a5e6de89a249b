package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/deploy/sample"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// The product that is measured: labels of 32 bytes.
const product, resource = "licence-sector", "business-licences"

// publication imports and publishes a synthetic table in a domain of its own,
// as an operator would, and then answers queries on the published file.
func (s *sheet) publication(ctx context.Context, records int) (err error) {
	dir, err := os.MkdirTemp("", "yingbi-benchmark-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	command := fmt.Sprintf("go run ./benchmarks -records %d", records)
	data := filepath.Join(dir, "licences.csv")
	if err := synthesise(data, records); err != nil {
		return err
	}
	d, err := prepare(ctx, filepath.Join(dir, "domain"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	fmt.Fprintf(os.Stderr, "import and publish %d records\n", records)
	began := time.Now()
	if _, err := d.Import(ctx, resource, data, nil); err != nil {
		return err
	}
	s.add("import: check and seal", "records/s", command, float64(records)/time.Since(began).Seconds())
	debug.FreeOSMemory()
	began = time.Now()
	published, err := d.Publish(ctx, product, enclave.PublishOptions{})
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	s.add("publish: all of it", "s", command, took)
	s.add("publish: all of it", "records/s", command, float64(records)/took)
	if peak := peakMemory(); peak > 0 {
		s.add("publish: peak memory of the process", "MB", command, float64(peak)/1e6)
	}
	public := published.Descriptor.Lattice
	s.add("lookup: columns", "", command, float64(public.Columns))
	s.add("lookup: bytes of a column", "B", command, float64(public.Rows))
	s.add("lookup: query up", "B", command, float64(public.QueryBytes))
	s.add("lookup: answer down", "B", command, float64(public.AnswerBytes))
	s.add("lookup: public answer part, once a version", "B", command, float64(public.PublicBytes))
	file := release.TablePath(filepath.Join(dir, "domain", "tables"), product, 1, 1)
	if info, err := os.Stat(file); err == nil {
		s.add("lookup: table file", "MB", command, float64(info.Size())/1e6)
	}
	return s.answers(ctx, file, public, command)
}

// queries are answered one by one: the median is a query's latency.
const queries = 21

// answers measures the server's time for a query and the client's for making
// and reading one, on one processor.
func (s *sheet) answers(ctx context.Context, file string, public lookup.Public, command string) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	table, err := lookup.Open(file, public)
	if err != nil {
		return err
	}
	defer table.Close()
	client, err := lookup.NewClient(public, table.PublicPart())
	if err != nil {
		return err
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	var ask, answer, read []float64
	ms := func(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1e3 }
	for i := range queries {
		began := time.Now()
		query, decoder, err := client.Query(&secret, lookup.QueryID{Job: "benchmark", Epoch: 1, Version: 1, Index: uint32(i)}, i*97%public.Columns)
		if err != nil {
			return err
		}
		ask = append(ask, ms(began))
		began = time.Now()
		answers, err := table.Answer(ctx, [][]byte{query})
		if err != nil {
			return err
		}
		answer = append(answer, ms(began))
		began = time.Now()
		if _, err := decoder.Column(answers[0]); err != nil {
			return err
		}
		read = append(read, ms(began))
	}
	s.add("lookup: client makes a query", "ms", command, ask...)
	s.add("lookup: server answers a query, one core", "ms", command, answer...)
	s.add("lookup: client reads an answer", "ms", command, read...)
	return nil
}

// prepare makes a domain with the sample's manifests, approved and reviewed.
func prepare(ctx context.Context, dir string) (_ *enclave.Domain, err error) {
	var keys [3]ed25519.PrivateKey // authoriser, authority, reviewer
	for i := range keys {
		if _, keys[i], err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
	}
	public := func(i int) ed25519.PublicKey { return keys[i].Public().(ed25519.PublicKey) }
	d, err := enclave.Init(ctx, dir, enclave.InitOptions{
		Unlock: keyring.MachineKey(filepath.Join(filepath.Dir(dir), "machine.key")), Operator: "91310000MA1FL5XW2J", Name: "Benchmark",
		Authoriser: public(0), Authority: public(1),
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	var docs []vocabulary.Parsed
	var approvals []vocabulary.Approval
	files, err := fs.ReadDir(sample.Files, "manifests")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := path.Join("manifests", f.Name())
		b, err := sample.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		parsed, err := vocabulary.Parse(name, b)
		if err != nil {
			return nil, err
		}
		for _, doc := range parsed {
			if role := vocabulary.RequiredApproval(doc.Doc.GetMeta().Kind); role != "" {
				approvals = append(approvals, vocabulary.Approve(doc, role, keys[0]))
			}
		}
		docs = append(docs, parsed...)
	}
	if _, err := d.Apply(ctx, docs, approvals, false); err != nil {
		return nil, err
	}
	request, err := vocabulary.NewIdentityRequest(vocabulary.Identity{Role: vocabulary.RoleReviewer, ID: "benchmark"}, "Benchmark", "", keys[2])
	if err != nil {
		return nil, err
	}
	if _, err := d.SignIdentity(ctx, request); err != nil {
		return nil, err
	}
	newest, err := d.Newest(ctx, product)
	if err != nil {
		return nil, err
	}
	_, err = d.Review(ctx, admission.SignReview(keys[2], product, newest.Document))
	return d, err
}

// synthesise writes made-up licences of the sample's schema.
func synthesise(path string, records int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "city_account_number,ubi,business_legal_name,ownership_type,naics_code,naics_description,naics_sector,license_start_date,zip_5")
	sectors := []string{"11", "22", "23", "31", "42", "44", "48", "51", "52", "53", "54", "56", "61", "62", "71", "72", "81"}
	for i := range records {
		fmt.Fprintf(w, "%016d,,SYNTHETIC COMPANY %d,Corporation,541611,Synthetic,%s,2020-01-01,98101\n",
			1_000_000_000+int64(i)*7919, i, sectors[i%len(sectors)])
	}
	return errors.Join(w.Flush(), f.Close())
}
