package rangeraft

import (
	"context"
	"time"
)

// dropWait bounds how long a Defragment waits for what is being dropped below
// compaction floors: what was dropped by then is what it can give back.
const dropWait = 10 * time.Second

// Defragment gives back the space of old versions and deletions. Ranges serve
// meanwhile.
func (s *Store) Defragment(ctx context.Context) error {
	s.awaitDropped(ctx)
	return s.opts.Engine.Defragment(ctx)
}

func (s *Store) awaitDropped(ctx context.Context) {
	ctx, cancel := s.bounded(ctx, dropWait)
	defer cancel()
	var passes []<-chan error
	for _, r := range s.all() {
		passes = append(passes, s.dropper.Request(r.id))
	}
	for _, pass := range passes {
		select {
		case <-pass: // a range that is gone has nothing to drop
		case <-ctx.Done():
			return
		}
	}
}

// bounded returns a context that ends with ctx, with the store, or after d.
func (s *Store) bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
