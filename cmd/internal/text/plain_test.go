package text

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// No package's name reaches a person, and no number of an entry that is not in
// the log; what they need stays.
func TestPlain(t *testing.T) {
	refused := &admission.FoldError{Seq: 45, Kind: ledger.KindStop, Faults: []admission.Fault{
		{Class: admission.ClassStop, What: "suspend of Product p", Expected: "a published product", Got: "one in another state"}}}
	twice := &admission.FoldError{Seq: 45, Kind: ledger.KindStop, Faults: append(refused.Faults, refused.Faults...)}
	_, number := strconv.Atoi("many")
	noDocument := errors.New("enclave: there is no such document: apply it first")
	for _, c := range []struct {
		err    error
		en, zh string
	}{
		{fmt.Errorf("publishing %s: %w", "p", fmt.Errorf("%w: product %s", noDocument, "p")), "publishing p: there is no such document: apply it first: product p", "发布 p：没有这样的文档：请先施行：产品 p"},
		{noDocument, "there is no such document: apply it first", "没有这样的文档：请先施行"},
		{refused, "suspend of Product p: expected a published product, got one in another state", "产品 p 的暂停：应为 已发布的产品，实为 处于另一状态的"},
		{fmt.Errorf("suspend %s %s: %w", "Product", "p", refused), "suspend Product p: expected a published product, got one in another state", "暂停产品 p：应为 已发布的产品，实为 处于另一状态的"},
		{fmt.Errorf("the ledger contradicts itself: %w", refused), "the ledger contradicts itself: entry 45 (stop): suspend of Product p: expected a published product, got one in another state",
			"账本自相矛盾：条目 45（stop）：产品 p 的暂停：应为 已发布的产品，实为 处于另一状态的"},
		{twice, "suspend of Product p: expected a published product, got one in another state; expected a published product, got one in another state", Zh.Plain(twice)},
		{number, `"many": invalid syntax`, `"many"：写法有误`},
		// A product may have a package's name.
		{errors.New("publishing state: no"), "publishing state: no", "publishing state：no"},
	} {
		if got := En.Plain(c.err); got != c.en {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.en)
		}
		if got := Zh.Plain(c.err); got != c.zh {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.zh)
		}
	}
}
