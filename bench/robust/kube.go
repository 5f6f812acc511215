package robust

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/kubeload"
)

// kube is the Kubernetes-shaped load beside the checked clients. It goes on over
// all rounds and verifies everything it reads, and at the end every object.
type kube struct {
	l    *kubeload.Loader
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// kubeRate is its requests per second: enough to meet every change, little
// beside what the nodes have to do.
const kubeRate = 40

// startKube creates the objects and begins to change them.
func startKube(ctx context.Context, o *Options, endpoints []string) (*kube, error) {
	l, err := kubeload.New(kubeload.Options{
		Endpoints: endpoints, Objects: o.Objects, Clients: 6, Connections: 3, Rate: kubeRate, Seed: o.Seed,
	})
	if err != nil {
		return nil, err
	}
	k := &kube{l: l}
	if err = l.Load(ctx); err == nil {
		err = l.Watch(ctx)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("load objects: %w", err)
	}
	churning, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	k.wg.Go(func() { l.ChurnUntil(churning) })
	return k, nil
}

// finish ends the changes and verifies every object.
func (k *kube) finish(ctx context.Context) (*kubeload.Report, error) {
	k.stop()
	k.wg.Wait()
	defer k.l.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := k.l.Verify(ctx); err != nil {
		return k.l.Report(), err
	}
	r := k.l.Report()
	return r, r.Err()
}
