package gateway

import (
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// A grant that is not found covers nothing: only the sandbox goes without one.
func TestAGrantThatIsNotFoundCoversNothing(t *testing.T) {
	s := &world.Snapshot{World: admission.NewWorld()}
	j := &job{order: order{work: &selecting{}}, header: &ledger.Header{Enterprise: "e", Product: "p"}}
	left := covering(s, j, world.Version{Product: "p"}, time.Now(), []admission.Candidate{{Grant: "gone"}, {}})
	if len(left) != 1 || left[0].Grant != "" {
		t.Errorf("left: %+v", left)
	}
}
