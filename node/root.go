package node

import (
	"context"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router/rangecache"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// findRootTimeout bounds one round of asking where the root range is.
const findRootTimeout = time.Second

// rootFinder knows where the root range is, which no directory can tell: from
// the own replica, from what was seen last, or from the other nodes.
type rootFinder struct {
	node  *Node
	cache *rangecache.Cache
}

// known returns the newest descriptor at hand, nil if there is none.
func (f *rootFinder) known() *pontoonpb.Descriptor {
	best := f.cache.Lookup(keys.MetaSpan.Start)
	if d := f.node.store.Descriptor(proto.RootRange); d != nil && (best == nil || d.Generation > best.Generation) {
		f.cache.Insert(d)
		return d
	}
	return best
}

// find asks all nodes and returns the newest answer. Those with a replica know;
// an older hearsay leads to them, or the next round does.
func (f *rootFinder) find(ctx context.Context) (*pontoonpb.Descriptor, error) {
	if d := f.node.store.Descriptor(proto.RootRange); d != nil {
		return d, nil
	}
	ctx, cancel := context.WithTimeout(ctx, findRootTimeout)
	defer cancel()
	var mu sync.Mutex
	var best *pontoonpb.Descriptor
	var asked sync.WaitGroup
	for _, id := range f.node.peers.Nodes() {
		if id == f.node.members.Self {
			continue
		}
		asked.Go(func() {
			d := f.ask(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if d != nil && (best == nil || d.Generation > best.Generation) {
				best = d
			}
		})
	}
	asked.Wait()
	if best == nil {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no node says where the root range is")
	}
	return best, nil
}

func (f *rootFinder) ask(ctx context.Context, id proto.NodeID) *pontoonpb.Descriptor {
	conn, err := f.node.peers.Conn(id)
	if err != nil {
		return nil
	}
	reply, err := pontoonpb.NewPeerClient(conn).Describe(ctx, &pontoonpb.DescribeRequest{
		ClusterId: f.node.members.ID, RangeId: uint64(proto.RootRange),
	})
	if err != nil || len(reply.Ranges) != 1 {
		return nil
	}
	return reply.Ranges[0].Desc
}

// missed looks for the root range anew after it did not answer: it may have
// moved away from all the nodes where it was seen last.
func (f *rootFinder) missed(ctx context.Context, _ error) {
	if d, err := f.find(ctx); err == nil {
		f.cache.Insert(d)
	}
}

// save keeps the place of the root range for the next start.
func (f *rootFinder) save() error {
	d := f.known()
	if d == nil {
		return nil
	}
	return f.node.saved.update(func(c *membership.Cluster) bool { return c.SetRoot(d) })
}

// nodes lists where the root range may be.
func (f *rootFinder) nodes() []proto.NodeID {
	var list []proto.NodeID
	for _, r := range f.known().GetReplicas() {
		list = append(list, proto.NodeID(r.NodeId))
	}
	if len(list) == 0 {
		for _, r := range members.Active(f.node.roster.Nodes()) {
			list = append(list, proto.NodeID(r.NodeId))
		}
	}
	return list
}

// lateDirectory breaks the circle of a directory that sends through the sender
// that asks it, and knows another way to the range that holds it.
type lateDirectory struct {
	*directory.Directory
	root *rootFinder
}

// Lookup implements router.Directory.
func (l *lateDirectory) Lookup(ctx context.Context, key []byte) (*pontoonpb.Descriptor, error) {
	if keys.MetaSpan.Contains(key) {
		return l.root.find(ctx)
	}
	return l.Directory.Lookup(ctx, key)
}
