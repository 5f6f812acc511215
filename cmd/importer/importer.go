package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// Options of Run.
type Options struct {
	From, To *clientv3.Client
	// StateFile remembers how far the import is, so that it can go on.
	StateFile string
	// Overwrite makes a target that has keys of its own the same as the source.
	Overwrite bool
	// UntilCaughtUp ends the import once it has all that the source had when the
	// copy was done.
	UntilCaughtUp bool
	// CutOver, closed, ends it once it has all that the source has then.
	CutOver <-chan struct{}
	// Tell is called with news, often. Default: nobody.
	Tell func(News)
	// Note is called with what a person must know. Default: nobody.
	Note func(text string)
}

// News is how far an import is.
type News struct {
	Step     string // "copying", "following"
	Keys     int64  // copied
	Total    int64  // keys of the source when the copy began
	Revision int64  // of the source that the target has
	Newest   int64  // of the source, as last seen
}

// importer is one run.
type importer struct {
	Options
	state *state
	news  News
}

// Run imports. It returns nil once it was told to end and the target has
// everything.
func Run(ctx context.Context, o Options) error {
	if o.Tell == nil {
		o.Tell = func(News) {}
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	im := &importer{Options: o}
	if err := im.begin(ctx); err != nil {
		return err
	}
	if err := im.auth(ctx); err != nil {
		return err
	}
	leases := newLeases(o.From, o.To)
	if err := leases.adopt(ctx); err != nil {
		return err
	}
	if err := leases.sync(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return leases.run(ctx) })
	g.Go(func() error {
		defer cancel()
		return im.run(ctx, leases)
	})
	return g.Wait()
}

func (im *importer) run(ctx context.Context, l *leases) error {
	for {
		if !im.state.Copied {
			if err := im.copyAll(ctx, l); err != nil {
				return err
			}
		}
		err := im.follow(ctx, l)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return err
		}
		im.Note(fmt.Sprintf("the source was compacted beyond revision %d: comparing everything again", im.state.Revision))
		if err := im.anew(ctx); err != nil {
			return err
		}
	}
}

// begin goes on where the state file says, or makes sure of the target.
func (im *importer) begin(ctx context.Context) (err error) {
	source, err := probe(ctx, im.From)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	target, err := probe(ctx, im.To)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if source.Header.ClusterId == target.Header.ClusterId {
		return errors.New("source and target are the same cluster")
	}
	if im.state, err = loadState(im.StateFile); err != nil {
		return err
	}
	if s := im.state; s != nil {
		if s.Source != source.Header.ClusterId || s.Target != target.Header.ClusterId {
			return fmt.Errorf("%s is of an import from cluster %x to %x, not from %x to %x; name another --state file",
				im.StateFile, s.Source, s.Target, source.Header.ClusterId, target.Header.ClusterId)
		}
		return nil
	}
	if target.Count > 0 && !im.Overwrite {
		return fmt.Errorf("the target has %d keys of its own; --overwrite makes it the same as the source", target.Count)
	}
	im.state = &state{Source: source.Header.ClusterId, Target: target.Header.ClusterId, Revision: source.Header.Revision}
	im.news.Total = source.Count
	return im.state.save(im.StateFile)
}

// anew begins the copy again at the newest revision (M1).
func (im *importer) anew(ctx context.Context) error {
	source, err := probe(ctx, im.From)
	if err != nil {
		return err
	}
	im.state.Revision, im.state.Next, im.state.Copied = source.Header.Revision, nil, false
	im.news.Keys, im.news.Total = 0, source.Count
	return im.state.save(im.StateFile)
}

const callTimeout = 30 * time.Second

// probe counts all keys, which also tells revision and cluster.
func probe(ctx context.Context, c *clientv3.Client) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly())
}
