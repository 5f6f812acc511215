package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/kubeload"
)

// kubernetes is the mix of a Kubernetes cluster, every answer verified.
func kubernetes(objects, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("kubernetes/c%d", clients), Unit: "request", Limit: 5 * time.Minute,
		About: fmt.Sprintf("%d objects of 0.4 to 20 KB; node leases and pods updated by Txn(mod = n), created, deleted, read and listed, an informer per resource; everything read is verified", objects),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			return runKubernetes(ctx, t, objects, clients)
		},
	}
}

// kubePrefix is that of Kubernetes' objects.
const kubePrefix = Prefix + "registry"

func runKubernetes(ctx context.Context, t *Target, objects, clients int) (*Outcome, error) {
	l, err := kubeload.New(kubeload.Options{
		Endpoints: t.Clients.Endpoints(), Connections: t.Clients.Len(),
		Objects: objects, Clients: clients, Prefix: kubePrefix, Seed: t.Seed,
	})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := errors.Join(l.Load(ctx), l.Watch(ctx)); err != nil {
		return nil, err
	}
	churning, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.ChurnUntil(churning) })
	pause(ctx, t.Warmup, nil)
	before := l.Requests()
	bytes, unanswered := written(l)
	took, err := t.metered(ctx, func() error {
		if !pause(ctx, t.Window, nil) {
			return context.Cause(ctx)
		}
		return nil
	})
	after := l.Requests()
	bytesAfter, failed := written(l)
	stop()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	if err := l.Verify(ctx); err != nil {
		return nil, err
	}
	if err := l.Report().Err(); err != nil {
		return nil, wrong("%v", err)
	}
	out := &Outcome{Elapsed: took, Bytes: bytesAfter - bytes, Errors: failed - unanswered}
	if out.Errors > 0 {
		out.Error = errors.New("requests of the Kubernetes mix that were not answered")
	}
	after.Subtract(before)
	out.Latency, out.Ops = *after, int64(after.Count())
	return out, nil
}

// written returns the bytes of acknowledged values and the requests that failed.
func written(l *kubeload.Loader) (bytes, failed int64) {
	r := l.Report()
	return r.BytesWritten, r.Unanswered + r.FailedReads
}

func kubeGroup(quick bool) Group {
	objects := 20_000
	if quick {
		objects = 3_000
	}
	return Group{Name: "kubernetes", About: "16 ranges of about as many objects each", Nodes: 3,
		Splits: kubeload.SplitKeys(kubePrefix, objects, ranges), Workloads: []Workload{kubernetes(objects, 64)}}
}
