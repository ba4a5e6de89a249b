package ledger

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// This package is compiled to WebAssembly for the browser verifier: it imports
// three small packages and, of the standard library, neither network nor SQL.
func TestImportsStayFew(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if .Standard}}std {{end}}{{.ImportPath}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var foreign, heavy []string
	for line := range strings.Lines(string(out)) {
		switch path := strings.TrimSpace(line); path {
		case "std net", "std net/http", "std database/sql", "std crypto/tls", "std text/template":
			heavy = append(heavy, path)
		default:
			if !strings.HasPrefix(path, "std ") {
				foreign = append(foreign, path)
			}
		}
	}
	want := []string{
		"github.com/gowebpki/jcs",
		"golang.org/x/mod/sumdb/note",
		"golang.org/x/mod/sumdb/tlog",
		"github.com/yingbi/yingbi/policy/ledger",
	}
	if diff := cmp.Diff(want, foreign); diff != "" {
		t.Errorf("imports differ (-want +got):\n%s", diff)
	}
	if heavy != nil {
		t.Errorf("the standard library's heavy parts come along: %v", heavy)
	}
}
