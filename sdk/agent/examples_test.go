package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave/enclavetest"
)

// The Java example gets the answers, pays once and leaves no job behind. (The
// Python one is run by the command's story, under cmd/yingbi.)
func TestJavaExample(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip("no Maven on this machine")
	}
	f := newFixture(t)
	dir := t.TempDir()
	for path, content := range map[string]string{
		"token": f.token, "ids": enclavetest.Account(4) + "\n" + "nobody\n", "bad": enclavetest.Account(4) + "\n\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(ids string) (string, error) {
		cmd := exec.CommandContext(t.Context(), mvn, "-q", "-B", "compile", "exec:java", "-DbuildDirectory="+filepath.Join(dir, "target"),
			"-Dexec.args="+strings.Join([]string{f.url, filepath.Join(dir, "token"), "sector", "industry", filepath.Join(dir, ids)}, " "))
		cmd.Dir = "../examples/java"
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("ids")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range []string{enclavetest.Account(4) + "\ttrue\t" + `{"sector":"` + enclavetest.Sector(4) + `"}`, "nobody\tfalse\t", "yuan"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	kept, err := filepath.Glob(filepath.Join(f.identity.Dir, "state", "jobs", "*.json"))
	if err != nil || len(kept) > 0 {
		t.Errorf("jobs left: %v %v", kept, err)
	}
	if out, err := run("bad"); err == nil || !strings.Contains(out, "BAD_SUBJECTS") {
		t.Errorf("%v\n%s", err, out)
	}
}
