package alone

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
)

const (
	clusterID = 1 << 60
	// inFlight is how many messages of a node may be unanswered, as in package
	// client.
	inFlight = 2
)

// Load is what Measure does.
type Load struct {
	Nodes  int   // that always ask
	Folded int64 // writes of a node that one message asks for
	// Messages is how many all nodes send together.
	Messages int64
}

// Rate is what came of it.
type Rate struct {
	Messages  int64
	Revisions int64
	Took      time.Duration
}

// PerSecond is how many revisions were handed out in a second.
func (r Rate) PerSecond() float64 { return float64(r.Revisions) / r.Took.Seconds() }

// nobody changed a floor or an epoch yet.
var nobody = sequencer.Epochs{Floor: proto.NeverCompacted}

// promptLog is a root range that is never slow.
type promptLog struct{ server *sequencer.Server }

func (l *promptLog) Persist(_ context.Context, _, next proto.Revision) error {
	l.server.Applied(next, nobody)
	return nil
}

// Measure runs a load on one core, to its end or until ctx ends. Nobody else may
// need another core meanwhile (I1).
func Measure(ctx context.Context, load Load) (Rate, error) {
	if load.Nodes < 1 || load.Folded < 1 || load.Messages < 1 {
		return Rate{}, fmt.Errorf("alone: cannot measure %+v", load)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	log := &promptLog{}
	server := sequencer.NewServer(sequencer.Options{ClusterID: clusterID, Limits: log})
	log.server = server
	server.Start()
	defer server.Close()
	server.Gained(1, func(context.Context) error { return nil }, 0, nobody)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		errs  = make([]error, load.Nodes)
		rate  Rate
		began = time.Now()
	)
	for i := range load.Nodes {
		messages := (load.Messages + int64(i)) / int64(load.Nodes)
		if messages == 0 {
			continue
		}
		rate.Messages += messages
		s := &stream{
			ctx: ctx, codec: encoding.GetCodecV2(protocodec.Name),
			asks: make(chan mem.BufferSlice, inFlight), replies: make(chan mem.BufferSlice, inFlight),
		}
		wg.Go(func() {
			if errs[i] = s.askAll(uint64(i+1), load.Folded, messages); errs[i] != nil {
				cancel()
			}
		})
		wg.Go(func() { _ = server.Sequence(s) }) // ends with the asks
	}
	wg.Wait()
	rate.Took = time.Since(began)
	rate.Revisions = rate.Messages * load.Folded
	return rate, errors.Join(errs...)
}
