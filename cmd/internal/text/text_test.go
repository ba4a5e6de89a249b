package text

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
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
			if !ok || (sel.Sel.Name != "T" && sel.Sel.Name != "E") {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "text" {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the id must be a literal, so that this test sees it", fset.Position(call.Pos()))
				return true
			}
			id, _ := strconv.Unquote(lit.Value)
			used[id] = true
			format, ok := en[id]
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
	for id := range en {
		if !used[id] {
			t.Errorf("en.json: %q is used nowhere: delete it", id)
		}
	}
}
