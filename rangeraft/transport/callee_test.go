package transport

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// worker notes whether an operation ran when its stream had ended.
type worker struct {
	end
	ended, late atomic.Bool
}

func (w *worker) Do(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	w.late.Store(w.ended.Load())
	return &pontoonpb.RangeReply{}
}

// endsOnceSeen is the context of a stream that ends when somebody has just seen
// that it has not.
type endsOnceSeen struct {
	context.Context
	seen func()
}

func (c endsOnceSeen) Err() error {
	err := c.Context.Err()
	c.seen()
	return err
}

// I2: an operation that is read while its stream ends is run before the stream
// has ended, or never: the node's engine may be closed next.
func TestNoCallOutlivesItsStream(t *testing.T) {
	w := &worker{}
	tr := &Transport{opts: Options{Handler: w, CallQueue: 8}, draining: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	c := &callee{t: tr, running: map[uint64]context.CancelFunc{}, wake: make(chan struct{}, 1)}
	ended := make(chan struct{})
	c.ctx = endsOnceSeen{ctx, func() {
		go func() {
			c.end(cancel)
			w.ended.Store(true)
			close(ended)
		}()
		for range 1000 {
			runtime.Gosched() // room for it
		}
	}}
	c.start(&pontoonpb.OpCall{Id: 1})
	<-ended
	tr.pool.close()
	if w.late.Load() {
		t.Fatal("an operation ran after the end of its stream")
	}
}
