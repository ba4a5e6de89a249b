package text

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every id used under cmd is in the catalogue, every id in the catalogue is
// used, and arguments match the format's verbs.
func TestCatalogueMatchesUse(t *testing.T) {
	used := map[string]bool{}
	fset := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "T" && sel.Sel.Name != "E" {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok && strings.Contains(path, "internal/text/") {
				return true // this package's own
			}
			if !ok {
				t.Errorf("%s: the id must be a literal, so that this test sees it", fset.Position(call.Pos()))
				return true
			}
			id, _ := strconv.Unquote(lit.Value)
			used[id] = true
			format, ok := catalogues[En][id]
			if !ok {
				t.Errorf("%s: %q is not in en.json", fset.Position(call.Pos()), id)
				return true
			}
			if verbs := strings.Count(strings.ReplaceAll(format, "%%", ""), "%"); verbs != len(call.Args)-1 && call.Ellipsis == token.NoPos {
				t.Errorf("%s: %q takes %d arguments, has %d", fset.Position(call.Pos()), id, verbs, len(call.Args)-1)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range catalogues[En] {
		if !used[id] {
			t.Errorf("en.json: %q is used nowhere: delete it", id)
		}
	}
}

// The languages have the same messages, which take the same arguments.
func TestLanguagesHaveTheSameMessages(t *testing.T) {
	for id, en := range catalogues[En] {
		zh, ok := catalogues[Zh][id]
		if !ok {
			t.Errorf("zh.json lacks:\n %q: %q,", id, en)
			continue
		}
		if want, got := arguments(en), arguments(zh); !slices.Equal(want, got) {
			t.Errorf("%q: the English takes %q, the Chinese %q", id, want, got)
		}
	}
	for id := range catalogues[Zh] {
		if _, ok := catalogues[En][id]; !ok {
			t.Errorf("zh.json has %q, which is no message: delete it", id)
		}
	}
}

// arguments are the verbs of a format in the order of the arguments that they
// take, so that a Chinese one may take them in an order of its own.
func arguments(format string) []string {
	taken := map[int]string{}
	next := 1
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[2] == "" {
			continue // %%
		}
		if m[1] != "" {
			next, _ = strconv.Atoi(m[1])
		}
		taken[next] = m[2]
		next++
	}
	var verbs []string
	for i := 1; i <= len(taken); i++ {
		verbs = append(verbs, taken[i])
	}
	return verbs
}
