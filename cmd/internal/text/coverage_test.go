package text

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// exempt are folders whose errors reach no user.
var exempt = []string{
	"enclavetest", "pgtest", // a domain and a PostgreSQL for tests
	"vaulttest", // a Vault server for tests
	"logtest",   // logs for tests
	"yingbipb",  // generated; the gateway implements every method
	"internal/text",
}

// makers are the functions, of this project too, that make texts of errors and
// reports, by their name: every literal sentence that they are given is shown
// to somebody.
var makers = []string{
	"Errorf", "New", // of fmt and errors
	"add", "addRange", "unless", "need", "note", // findings of an audit, of admission, of an entry's form
	"fault", "fail", "find", "at", "onlyWith", "wrongType", "pattern", "syntax", "refuse", "bad", // faults of files
	"badRequest", "wrongIdentity", "internal", "stateError", "newProblem", "wireError", // refusals
	"corrupt", "markCorrupt", "guard", "call", "checkText", "expect",
}

// Every error, and every sentence of a report, that can reach a user exists in
// Chinese. A failure prints what is missing, to be pasted into errors.zh.json.
func TestEveryErrorHasItsChinese(t *testing.T) {
	catalogue := load(errorsJSON)
	missing := map[string]string{}
	fset := token.NewFileSet()
	for _, root := range []string{"cmd", "compute", "enclave", "policy", "sdk"} {
		err := filepath.WalkDir(filepath.Join("../../..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if slices.ContainsFunc(exempt, func(e string) bool { return strings.HasSuffix(filepath.ToSlash(path), e) }) {
					return filepath.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			for format, at := range sentences(f) {
				if _, ok := catalogue[format]; !ok {
					missing[format] = fset.Position(at).String()
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, format := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s:\n %q: \"\",", strings.TrimPrefix(missing[format], "../../../"), format)
	}
}

// sentences are the literal texts that a file's calls of makers are given.
func sentences(f *ast.File) map[string]token.Pos {
	found := map[string]token.Pos{}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !slices.Contains(makers, called(call)) {
			return true
		}
		for _, a := range call.Args {
			if s, ok := literal(a); ok && sentence(s, called(call)) {
				found[s] = a.Pos()
			}
		}
		return true
	})
	return found
}

// sentence says whether a text is for people: an error of one word is, an
// identifier given to another maker is not.
func sentence(s, maker string) bool {
	words := verb.ReplaceAllString(s, "")
	if !strings.ContainsFunc(words, unicode.IsLetter) {
		return false
	}
	return strings.Contains(s, " ") || maker == "New" || maker == "Errorf"
}

func called(call *ast.CallExpr) string {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		if pkg, ok := fn.X.(*ast.Ident); ok && fn.Sel.Name == "New" && pkg.Name != "errors" {
			return fmt.Sprint(pkg.Name, ".New")
		}
		return fn.Sel.Name
	}
	return ""
}

func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		x, ok := literal(e.X)
		y, also := literal(e.Y)
		return x + y, ok && also
	}
	return "", false
}
