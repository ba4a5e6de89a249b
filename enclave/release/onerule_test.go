package release_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The one rule, held by reading the source: a ciphertext or query from outside
// only ever meets a release-safe operand.
//
//   - Raw storage, enclave/sealed, is imported by enclave and enclave/release
//     alone.
//   - What computes on raw data, and the server halves of compute/lookup,
//     compute/oprf, compute/cells, compute/dot and compute/fingerprint, are named
//     in enclave/release alone. Methods are reached through these names: whoever
//     cannot name Open or ParsePrivateKey has no *Table and no *PrivateKey.
//
// Excepted are the packages themselves, benchmarks, and tests.

const module = "github.com/yingbi/yingbi/"

var sealedImporters = []string{"enclave", "enclave/release", "enclave/sealed"}

// serverHalves are names that only the owner of an operand may use.
var serverHalves = map[string][]string{
	module + "compute/lookup": {"Build", "Open", "Table", "BuildOptions"},
	module + "compute/oprf":   {"GenerateKey", "ParsePrivateKey", "PrivateKey"},

	module + "compute/columnar":    {"Run", "Source", "Cube"},
	module + "compute/disclosure":  {"Protect"},
	module + "compute/noise":       {"New", "Sampler"},
	module + "compute/cells":       {"Disclose", "Privatise", "Plan", "Release", "Read", "ReadFile", "Table", "Operand"},
	module + "compute/dot":         {"Prepare", "Operand"},
	module + "compute/fingerprint": {"New", "Marker", "Trace"},
}

var serverHalfUsers = []string{"enclave/release", "compute", "benchmarks"}

// violation is one place that breaks the rule.
type violation struct{ file, what string }

// check reads every Go file under root, as packages of the module.
func check(t *testing.T, root string) []violation {
	t.Helper()
	var found []violation
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			name := e.Name()
			if path != root && (name == "testdata" || strings.HasPrefix(name, ".") || isModule(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil // tests are in no binary
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		violations, err := checkFile(path, filepath.ToSlash(rel))
		found = append(found, violations...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func checkFile(path, rel string) ([]violation, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	folder := filepath.ToSlash(filepath.Dir(rel))
	var found []violation
	names := map[string]string{} // of the file's imports
	for _, imp := range file.Imports {
		target, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return nil, err
		}
		if target == module+"enclave/sealed" && !slices.Contains(sealedImporters, folder) {
			found = append(found, violation{rel, "imports enclave/sealed"})
		}
		if serverHalves[target] == nil || within(folder, serverHalfUsers) {
			continue
		}
		name := target[strings.LastIndexByte(target, '/')+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		if name == "." {
			found = append(found, violation{rel, "imports " + target + " with a dot, which hides what it uses"})
		}
		names[name] = target
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && slices.Contains(serverHalves[names[x.Name]], s.Sel.Name) {
			found = append(found, violation{rel, "names " + x.Name + "." + s.Sel.Name})
		}
		return true
	})
	return found, nil
}

func within(folder string, of []string) bool {
	for _, o := range of {
		if folder == o || strings.HasPrefix(folder, o+"/") {
			return true
		}
	}
	return false
}

func TestTheOneRule(t *testing.T) {
	root := filepath.Join("..", "..")
	if !isModule(root) {
		t.Fatalf("%s is not the module's root", root)
	}
	for _, v := range check(t, root) {
		t.Errorf("%s %s: raw data and the server halves have one door, enclave/release (see its package comment)", v.file, v.what)
	}
}

// TestTheOneRuleBites: planted violations are found, all of them and no others.
func TestTheOneRuleBites(t *testing.T) {
	var got []string
	for _, v := range check(t, filepath.Join("testdata", "planted")) {
		got = append(got, v.file+" "+v.what)
	}
	slices.Sort(got)
	want := []string{
		"enclave/gateway/answers.go names lookup.Open",
		"enclave/gateway/answers.go names o.ParsePrivateKey",
		"enclave/gateway/cells.go names cells.ReadFile",
		"enclave/gateway/cells.go names cells.Table",
		"enclave/gateway/cells.go names columnar.Run",
		"enclave/gateway/cells.go names dot.Prepare",
		"enclave/gateway/cells.go names fingerprint.New",
		"enclave/gateway/raw.go imports enclave/sealed",
		"sdk/dotted.go imports " + module + "compute/lookup with a dot, which hides what it uses",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
