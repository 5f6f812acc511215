package answers

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/mem"

	"github.com/pontoon-kv/pontoon/proto"
)

// Account knows what the answers of a node take. It is safe for concurrent use.
type Account struct {
	least   int64
	most    func() int64
	held    atomic.Int64
	refused prometheus.Counter
}

// least is what answers may take whatever the bound is: it is not asked for below.
const least = 64 << 20

// New returns an account that is bounded by what most says, in bytes, from time to
// time. Most is called often and by many.
func New(most func() int64, r prometheus.Registerer) *Account {
	a := &Account{least: least, most: most, refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pontoon_answers_refused_total", Help: "Answers refused because those under way took too much memory.",
	})}
	r.MustRegister(a.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pontoon_answers_bytes", Help: "Bytes of large answers that are gathered or wait to be sent.",
	}, func() float64 { return float64(a.held.Load()) }))
	return a
}

// errTooMany reaches clients as it is, also from within a range operation.
var errTooMany = proto.Answer(rpctypes.ErrGRPCRequestTooManyRequests)

// Grow adds to the answer of ctx's request. Without a request of which the account
// knows nothing is counted: streams send what they gather at once.
func (a *Account) Grow(ctx context.Context, bytes int64) error {
	h, ok := ctx.Value(key{}).(*hold)
	if !ok {
		return nil
	}
	h.add(bytes)
	if held := a.held.Load(); held > a.least && held > a.most() {
		a.refused.Inc()
		return errTooMany
	}
	return nil
}

// Restart forgets what the answer of ctx's request took.
func (a *Account) Restart(ctx context.Context) {
	if h, ok := ctx.Value(key{}).(*hold); ok {
		h.giveBack()
	}
}

// key is of a request's hold in its context.
type key struct{}

// weight is what one answer takes of an account, in bytes.
type weight struct {
	of *Account
	n  atomic.Int64
}

func (w *weight) add(n int64) {
	w.n.Add(n)
	w.of.held.Add(n)
}

// giveBack may be called again (I2).
func (w *weight) giveBack() { w.of.held.Add(-w.n.Swap(0)) }

// hold keeps the bytes of one answer. As the pool of the buffer that is sent it hears
// when the last of it has left.
type hold struct{ *weight }

func (a *Account) hold() *hold { return &hold{&weight{of: a}} }

// Get implements mem.BufferPool.
func (h *hold) Get(n int) *[]byte { return mem.DefaultBufferPool().Get(n) }

// Put implements mem.BufferPool.
func (h *hold) Put(b *[]byte) {
	mem.DefaultBufferPool().Put(b)
	h.giveBack()
}
