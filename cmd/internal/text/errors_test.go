package text

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// Every translation is Chinese and shows what its English shows, once.
func TestErrorCatalogue(t *testing.T) {
	for en, zh := range load(errorsJSON) {
		if want, got := arguments(en), arguments(zh); !slices.Equal(want, got) {
			t.Errorf("%q shows %q, its Chinese %q", en, want, got)
		}
		words := strings.ContainsFunc(verb.ReplaceAllString(en, ""), unicode.IsLetter)
		if words && en == zh {
			t.Errorf("%q is not translated", en)
		}
	}
}

var errBase = errors.New("keyring: wrong passphrase")

// What an error wraps is translated by itself, wherever its format puts it.
func TestErrorsByTheirFormats(t *testing.T) {
	_, notThere := os.Open(filepath.Join("none", "at", "all"))
	for _, c := range []struct {
		err  error
		want string
	}{
		{errBase, "密钥库：口令错误"},
		{fmt.Errorf("opening the keyring: %w", errBase), "打开密钥库：密钥库：口令错误"},
		{fmt.Errorf("opening the keyring: %w", fmt.Errorf("%w: try again; without the passphrase only recovery shares open this file", errBase)),
			"打开密钥库：密钥库：口令错误：请重试；没有口令时只有恢复份额能打开该文件"},
		{fmt.Errorf("%w: another process is making a domain in %s", errBase, "/tmp/a: b"), "密钥库：口令错误：另一进程正在 /tmp/a: b 建立域"},
		{fmt.Errorf("reading entry %d: %w", 7, notThere), "读取条目 7：打开 none/at/all：没有该文件或目录"},
		{fmt.Errorf("%w: %w", errBase, syscall.ENOSPC), "密钥库：口令错误：磁盘空间不足"},
		{errors.Join(errBase, syscall.EADDRINUSE), "密钥库：口令错误\n地址已被占用"},
		{E("passphrase.file", errBase), "读取口令：密钥库：口令错误"},
		{fmt.Errorf("importing %s: %w", "licences", E("verify.fault-blank")), "导入 licences：空白"},
		// Arguments in another order.
		{fmt.Errorf("oprf: opening: %w: input %d of %d", errBase, 3, 9), "oprf：打开：密钥库：口令错误：9 个输入中的第 3 个"},
		// The most literal format wins, and a number is a number.
		{errors.New("receipt 12"), "回执 12"},
		{errors.New("receipt twelve"), "receipt twelve"},
		{errors.New("a descriptor in JSON"), "JSON 形式的描述符"},
		// What nobody translated stays as it is; what it wraps does not.
		{errors.New("a flux capacitor lacks its spring"), "a flux capacitor lacks its spring"},
		{fmt.Errorf("the flux capacitor: %w", errBase), "the flux capacitor：密钥库：口令错误"},
		{fmt.Errorf("the flux capacitor (%w) is gone", errBase), "the flux capacitor (密钥库：口令错误) is gone"},
		// Somebody's words are nobody's errors.
		{fmt.Errorf("reading %s: %w", "malformed", errBase), "读取 malformed：密钥库：口令错误"},
		{fmt.Errorf("reading %s: %w", "\uE000\uE001", errBase), "读取 \uFFFD\uFFFD：密钥库：口令错误"},
	} {
		if got := Zh.Err(c.err); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.want)
		}
		if got := En.Err(c.err); got != c.err.Error() {
			t.Errorf("English: %s, want %v", got, c.err)
		}
	}
}

// Reports are translated part by part.
func TestStructuredErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{vocabulary.Faults{{ID: "x", Position: vocabulary.Position{File: "a.yaml", Line: 3, Column: 5}, Path: "price",
			Got: "0.1601", Expected: "at most 0.1600, the ceiling c-1 in force on 2026-11-24", Fix: "take it out"}},
			"a.yaml:3:5：price：实为 0.1601；应为 至多 0.1600，即 2026-11-24 生效的上限收费标准 c-1；请去掉"},
		{&sdk.Error{Op: "look up", Message: "the quota is used up", Reason: ledger.ReasonQuotaExhausted, Rule: "quota",
			Localized: map[string]string{"zh-CN": "使用额度已用尽"}}, "查询：使用额度已用尽（QUOTA_EXHAUSTED，规则 quota）"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "打开 x：权限不足"},
	} {
		if got := Zh.Err(fmt.Errorf("%w", c.err)); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.want)
		}
	}
}

// The sentinels that callers act on are all translated.
func TestSentinels(t *testing.T) {
	for _, err := range []error{keyring.ErrWrongPassphrase, sdk.ErrUntrusted, sdk.ErrFork, ledger.ErrMalformed} {
		if got := Zh.Err(err); !strings.ContainsFunc(got, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%v stays English: %s", err, got)
		}
	}
}

// Whatever an error says, its rendering ends and is a text.
func FuzzErrors(f *testing.F) {
	f.Add("opening the keyring: x", "x")
	f.Add("\uE000\uE03F", "\uE000")
	f.Add(strings.Repeat("reading entry 1: ", 500), "1")
	f.Fuzz(func(t *testing.T, s, inner string) {
		cause := errors.New(inner)
		for _, err := range []error{errors.New(s), fmt.Errorf("%s: %w", s, cause), errors.Join(errors.New(s), cause)} {
			_ = Zh.Err(err)
		}
	})
}
