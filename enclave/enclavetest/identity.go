package enclavetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// Identity is IdentityOf Northern.
func (d *Domain) Identity(grants string) *sdk.Identity {
	d.T.Helper()
	return d.IdentityOf(Northern, grants)
}

// IdentityOf makes an enterprise's identity as a person would, in a folder, has
// the domain enrol it, and registers the enterprise with the grants given.
func (d *Domain) IdentityOf(code, grants string) *sdk.Identity {
	d.T.Helper()
	must := func(err error) {
		d.T.Helper()
		if err != nil {
			d.T.Fatal(err)
		}
	}
	dir := filepath.Join(d.T.TempDir(), "enterprise")
	id, err := sdk.NewIdentity(dir, vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: code}, "Northern")
	must(err)
	b, err := os.ReadFile(filepath.Join(dir, "request.json"))
	must(err)
	request, err := vocabulary.DecodeIdentityRequest([]byte(strings.TrimSpace(string(b))))
	must(err)
	d.Enrol(dir, request)
	d.MustApply(fmt.Sprintf("kind: Enterprise\nid: %s\ntitle: {en: Northern}\nsigningKey: %s\nstanding: good\njurisdiction: CN\n",
		code, ledger.FormatKey(id.Public())))
	d.MustApply(grants)
	id, err = sdk.LoadIdentity(dir)
	must(err)
	return id
}

// Enrol signs a request and puts the enrolment into the identity's folder.
func (d *Domain) Enrol(dir string, request *vocabulary.IdentityRequest) {
	d.T.Helper()
	cert, err := d.SignIdentity(d.T.Context(), request)
	if err != nil {
		d.T.Fatal(err)
	}
	enrolment, err := json.Marshal(sdk.Enrolment{V: 1, Origin: d.Origin(), Log: d.VKey(), CA: string(d.CA()), Certificate: string(cert)})
	if err != nil {
		d.T.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "enrolment.json"), enrolment, 0o600); err != nil {
		d.T.Fatal(err)
	}
}
