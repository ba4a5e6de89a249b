package admission

import (
	"iter"
	"slices"

	"github.com/cedar-policy/cedar-go"
)

// For tests outside the package.
var (
	Quote         = quote
	ParsePolicies = parsePolicies
)

// Texts are the policies of the engine as written, by id.
func (e *Engine) Texts() map[string]string {
	out := map[string]string{}
	for id := range e.whole() {
		out[string(id)], _ = e.Policy(string(id))
	}
	return out
}

// whole is every policy of the world, not only those that apply to a request.
func (e *Engine) whole() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	var all []*grant
	for _, g := range e.world.grants {
		if !e.world.revoked[g.subject()] {
			all = append(all, g)
		}
	}
	return applicable{e.always, all}.All()
}

type everything struct{ e *Engine }

func (w everything) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] { return w.e.whole() }

// Whole decides by the whole policy set: what Decide must agree with. It returns
// the ids that decided, sorted.
func (e *Engine) Whole(f Facts) (allow bool, by []string, failed bool) {
	of, err := e.pair(f.Enterprise, f.Product)
	if err != nil {
		panic(err)
	}
	live, ends := e.serving(f)
	f.Epoch = live.Epoch
	request, _ := e.request(f, ends)
	decision, diag := cedar.Authorize(everything{e}, of, request)
	for _, r := range diag.Reasons {
		by = append(by, string(r.PolicyID))
	}
	slices.Sort(by)
	return decision == cedar.Allow, by, len(diag.Errors) > 0
}

// EntitiesJSON is what the entities digest is over.
func (e *Engine) EntitiesJSON(enterprise, product string) []byte {
	of, err := e.pair(enterprise, product)
	if err != nil {
		panic(err)
	}
	return of.json()
}
