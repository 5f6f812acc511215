package idle

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// boundary is the first key of the i-th range.
func boundary(i int) []byte { return fmt.Appendf(nil, "idle/%08d", i) }

// halves returns the boundaries 1 to n-1, level by level of a balanced tree:
// those of one level split different ranges, so they can go in parallel.
func halves(n int) (levels [][]int) {
	type part struct{ from, to int }
	for parts := []part{{0, n}}; len(parts) > 0; {
		var level []int
		var next []part
		for _, p := range parts {
			if p.to-p.from < 2 {
				continue
			}
			mid := (p.from + p.to) / 2
			level = append(level, mid)
			next = append(next, part{p.from, mid}, part{mid, p.to})
		}
		if len(level) > 0 {
			levels = append(levels, level)
		}
		parts = next
	}
	return levels
}

// admins are connections to the nodes' Admin service.
type admins struct {
	conns []*grpc.ClientConn
	next  atomic.Uint64
}

func dialAdmins(c *cluster.Cluster) (*admins, error) {
	a := &admins{}
	for _, n := range c.Nodes() {
		conn, err := grpc.NewClient("passthrough:///"+n.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			a.close()
			return nil, err
		}
		a.conns = append(a.conns, conn)
	}
	return a, nil
}

func (a *admins) close() {
	for _, c := range a.conns {
		c.Close()
	}
}

func (a *admins) any() pontoonpb.AdminClient {
	return pontoonpb.NewAdminClient(a.conns[a.next.Add(1)%uint64(len(a.conns))])
}

// noMerges keeps placement from merging what is about to be split.
func (a *admins) noMerges(ctx context.Context) error {
	_, err := a.any().PlacementSettings(ctx, &pontoonpb.PlacementSettingsRequest{
		Set: []*pontoonpb.Setting{{Name: "range_merge_bytes", Value: "off"}}})
	return err
}

// split cuts the keyspace into n ranges.
func (a *admins) split(ctx context.Context, n, parallel int, done func(int)) error {
	var count atomic.Int64
	for _, level := range halves(n) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for _, i := range level {
			g.Go(func() error {
				if err := a.splitAt(ctx, boundary(i)); err != nil {
					return fmt.Errorf("split at %q: %w", boundary(i), err)
				}
				done(int(count.Add(1)))
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// splitAt repeats what a busy machine did not do in time.
func (a *admins) splitAt(ctx context.Context, key []byte) error {
	for try := 0; ; try++ {
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err := a.any().RangeSplit(one, &pontoonpb.RangeSplitRequest{Key: key})
		cancel()
		switch status.Code(err) {
		case codes.OK:
			return nil
		case codes.InvalidArgument, codes.FailedPrecondition:
			if try > 0 {
				return nil // it is a boundary: the try before had its way
			}
			return err
		}
		if ctx.Err() != nil || try == 5 {
			return err
		}
	}
}
