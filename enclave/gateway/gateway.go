package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/spool"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Config is what a gateway works with. The store, the world and the keyring
// are the caller's to close, after the gateway.
type Config struct {
	Store   *state.Store
	World   *world.Follower
	Keyring keyring.Secrets
	Tables  string           // the folder of published tables
	Uploads string           // the folder of uploads, which is made where it is missing
	Origin  string           // the log's name
	Server  string           // the gateway's identity, as the actor of entries
	Clock   func() time.Time // nil: time.Now
	Log     *slog.Logger     // what no caller is told; nil: nowhere

	Kernels          int // kernels computed at once; 0: one a processor
	Queue            int // calls that may wait for one; 0: none
	PerEnterprise    int // calls of one enterprise at once; 0: 16
	QueriesPerCall   int // queries in one Lookup; 0: 64
	DenialsPerMinute int // denied entries of one enterprise; 0: 20

	UploadBytesPerEnterprise int           // of uploads whose job has not come; 0: 1 GiB
	UploadBytes              int           // of all enterprises together; 0: 8 GiB
	UploadKeep               time.Duration // of an upload that nobody touches; 0: 24 hours
}

// Gateway answers enterprises. All methods may be called concurrently.
type Gateway struct {
	Config
	limit   *limiter
	denials *denials
	tables  *tables
	spool   *spool.Spool
	answers *room
	speed   speed
	time    logClock
	kernel  func(*release.Evaluator, []byte) (evaluated, proof []byte, err error)

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// upkeepEvery is how often a gateway looks for changes of the world that no
// call asked about, for windows of denials that are over and for tables that
// are no longer served.
const upkeepEvery = time.Second

// New makes a gateway and checks that it can read the ledger.
func New(ctx context.Context, c Config) (*Gateway, error) {
	if c.Store == nil || c.World == nil || c.Keyring == nil || c.Origin == "" || c.Uploads == "" {
		return nil, errors.New("gateway: a store, a world, a keyring, an origin and a folder of uploads are needed")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&c.Kernels, runtime.GOMAXPROCS(0))
	setDefault(&c.PerEnterprise, 16)
	setDefault(&c.QueriesPerCall, 64)
	setDefault(&c.DenialsPerMinute, 20)
	setDefault(&c.UploadBytesPerEnterprise, 1<<30)
	setDefault(&c.UploadBytes, 8<<30)
	setDefault(&c.UploadKeep, 24*time.Hour)
	if _, err := c.World.Snapshot(ctx); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	uploads, err := spool.New(c.Uploads, spool.Limits{
		Owner: int64(c.UploadBytesPerEnterprise), All: int64(c.UploadBytes), Files: uploadsOfOne, Keep: c.UploadKeep,
	}, c.Clock)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g := &Gateway{
		Config: c, spool: uploads, answers: newRoom(answerBytes), limit: newLimiter(c.Kernels, c.Queue, c.PerEnterprise),
		denials: newDenials(c.DenialsPerMinute), tables: newTables(c.Tables, c.Keyring, c.Log),
		kernel: (*release.Evaluator).Evaluate, time: logClock{clock: c.Clock},
	}
	if err := g.readTime(ctx); err != nil {
		return nil, fmt.Errorf("gateway: reading the newest entry: %w", err)
	}
	var upkeep context.Context
	upkeep, g.stop = context.WithCancel(context.Background())
	g.stopped.Go(func() { g.keepUp(upkeep) })
	return g, nil
}

// uploadsOfOne is how many uploads of one enterprise are kept, however small.
const uploadsOfOne = 1024

func setDefault[N int | time.Duration](n *N, value N) {
	if *n <= 0 {
		*n = value
	}
}

// Close logs the denials that are counted and not yet logged, and closes the
// tables. No call may be under way.
func (g *Gateway) Close() error {
	g.stop()
	g.stopped.Wait()
	err := g.logCounted(context.Background(), g.time.now(), true)
	g.tables.close()
	return err
}

func (g *Gateway) keepUp(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	warmed := map[int64]time.Time{}
	var told, swept time.Time
	for {
		g.upkeep(ctx, warmed)
		g.watchClock(&told)
		g.sweep(&swept)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// upkeep does what no call waits for. What fails is tried again at the next
// tick, and is every call's error meanwhile.
func (g *Gateway) upkeep(ctx context.Context, warmed map[int64]time.Time) {
	now := g.time.now()
	_ = g.logCounted(ctx, now, false)
	s, err := g.World.Snapshot(ctx)
	if err != nil {
		return
	}
	g.tables.retain(s, now)
	g.warm(ctx, s, warmed)
}

// sweep drops uploads that are too old, once a minute.
func (g *Gateway) sweep(last *time.Time) {
	if time.Since(*last) < time.Minute {
		return
	}
	*last = time.Now()
	if err := g.spool.Sweep(); err != nil {
		g.Log.Error("old uploads are not dropped", "error", err)
	}
}

// warm opens, once, the table that each published product is served from, so
// that not the first caller waits until it is checked against its digest. One
// that does not open is tried again after tableRetry.
func (g *Gateway) warm(ctx context.Context, s *world.Snapshot, warmed map[int64]time.Time) {
	for _, held := range s.World.Catalogue().Products() {
		v, ok := s.Version(held.Doc.ID, 0, 0)
		if next, tried := warmed[v.Seq]; !ok || tried && (next.IsZero() || time.Now().Before(next)) {
			continue
		}
		_, done, err := g.tables.hold(ctx, v)
		if err != nil {
			warmed[v.Seq] = time.Now().Add(tableRetry)
			continue
		}
		warmed[v.Seq] = time.Time{}
		done()
	}
}

// snapshot is the world that a call is decided in.
func (g *Gateway) snapshot(ctx context.Context) (*world.Snapshot, error) {
	s, err := g.World.Snapshot(ctx)
	if err != nil {
		return nil, stateError("reading the ledger", err)
	}
	return s, nil
}

// enterprise wants a caller that is one.
func enterprise(who vocabulary.Identity) error {
	if who.Role != vocabulary.RoleEnterprise {
		return refuse(ledger.ReasonWrongIdentity, "certificate", "role", string(who.Role), "expected", string(vocabulary.RoleEnterprise))
	}
	return nil
}

// registered wants an enterprise with a manifest.
func registered(s *world.Snapshot, who vocabulary.Identity) error {
	if err := enterprise(who); err != nil {
		return err
	}
	if _, ok := s.World.Catalogue().Enterprise(who.ID); !ok {
		return refuse(ledger.ReasonNotRegistered, "yingbi/enterprise")
	}
	return nil
}

// keyringRetry is the hint given while the keyring's server, or the database's
// disk, cannot be used: it takes a person, or a restart, to bring it back.
const keyringRetry = 5 * time.Second

// stateError says what a failure of the database or of the keyring is to a
// caller: try again where another try can do better, else an error inside.
func stateError(doing string, err error) error {
	var own *Error
	switch {
	case errors.As(err, &own), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, keyring.ErrSealed), errors.Is(err, keyring.ErrUnavailable), errors.Is(err, keyring.ErrDenied), errors.Is(err, keyring.ErrRateLimited):
		return unavailable("keyring", keyringRetry, fmt.Errorf("%s: %w", doing, err))
	case errors.Is(err, state.ErrUnconfirmed), errors.Is(err, state.ErrBusy):
		return unavailable("state", retryAfter, fmt.Errorf("%s: %w", doing, err))
	case errors.Is(err, state.ErrDisk):
		return unavailable("state", keyringRetry, fmt.Errorf("%s: %w", doing, err))
	case errors.Is(err, state.ErrBelowMark), errors.Is(err, state.ErrForked), errors.Is(err, state.ErrHandedOver),
		errors.Is(err, state.ErrClosed), errors.Is(err, keyring.ErrRetired):
		return unavailable("state", 0, fmt.Errorf("%s: %w", doing, err))
	}
	return internal(doing, err)
}
