package router

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router/rangecache"
)

// Waits between attempts on one range: a share of the time that went by since the
// first one failed, so that what comes back after an election of 100 ms is found
// 25 ms later at most, and whoever waits long asks rarely. Each with jitter so that
// gateways do not come back in step.
const (
	firstBackoff = 2 * time.Millisecond
	lastBackoff  = 250 * time.Millisecond
	backoffShare = 4
	// Redirects that name something new are followed at once, up to so many.
	freeRedirects = 4
)

// Sender sends an operation to the leader of the range that holds its span,
// follows redirects and resends what is safe to send again. Safe for
// concurrent use.
type Sender struct {
	cache     *rangecache.Cache
	directory Directory
	transport Transport
	metrics   metrics
}

// NewSender returns a sender. The cache must hold the root range's descriptor,
// which no directory can tell.
func NewSender(cache *rangecache.Cache, directory Directory, transport Transport) *Sender {
	return &Sender{cache: cache, directory: directory, transport: transport, metrics: newMetrics()}
}

// Send runs op, whose span must be set, on the range that holds span.Start and
// returns its reply, or a *proto.RangeError. RANGE_MISMATCH means that the span
// is not inside one range: the caller asks Cover and splits. Writes are sent
// again only if they certainly were not proposed (P34); AMBIGUOUS goes to the
// caller. Blocks until ctx ends if need be.
func (s *Sender) Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	s.metrics.operations.Inc()
	a := attempt{Sender: s, op: op, span: proto.SpanOf(op.Span), again: repeatable(op)}
	for {
		desc, err := s.locate(ctx, a.span.Start)
		if err == nil {
			if !proto.SpanOf(desc.Span).Covers(a.span) {
				return nil, proto.Mismatch(desc)
			}
			var reply *pontoonpb.RangeReply
			if reply, err = a.once(ctx, desc); err == nil {
				return reply, nil
			}
			if a.final(err) {
				return nil, err
			}
		}
		if err := a.pause(ctx); err != nil {
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "etcdserver: request timed out")
		}
	}
}

// authChecked says under which rules the caller's permissions were checked. Only
// what makes a change visible to others carries it: whoever finishes or undoes
// does so whatever the rules are by then.
func authChecked(ctx context.Context, op *pontoonpb.RangeOp) uint64 {
	switch op.Op.(type) {
	case *pontoonpb.RangeOp_Write, *pontoonpb.RangeOp_Lock, *pontoonpb.RangeOp_Commit:
		if epoch, ok := proto.AuthChecked(ctx); ok {
			return epoch + 1
		}
	}
	return 0
}

// attempt is the state of one Send.
type attempt struct {
	*Sender
	op        *pontoonpb.RangeOp
	span      proto.Span
	again     bool // may be sent again although its fate is unknown
	next      int  // replica to try when no leader is known
	redirects int
	free      bool      // the last answer told where to go: do not wait
	failing   time.Time // since when attempts are paused between; zero: not yet
}

// once sends to one node and learns from the answer.
func (a *attempt) once(ctx context.Context, desc *pontoonpb.Descriptor) (*pontoonpb.RangeReply, error) {
	id := proto.RangeID(desc.RangeId)
	node := a.cache.Leader(id)
	if node == 0 {
		if len(desc.Replicas) == 0 {
			a.cache.Evict(desc)
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "range %d has no replicas", id)
		}
		node = proto.NodeID(desc.Replicas[a.next%len(desc.Replicas)].NodeId)
		a.next++
	}
	reply, err := a.transport.Call(ctx, node, &pontoonpb.RangeOp{
		RangeId: desc.RangeId, Span: a.op.Span, Trace: a.op.Trace, AuthChecked: authChecked(ctx, a.op), Op: a.op.Op,
	})
	if err == nil {
		err = proto.FromWire(reply.GetError())
	}
	if err == nil {
		a.cache.SetLeader(id, node)
		return reply, nil
	}
	var re *proto.RangeError
	if !errors.As(err, &re) {
		re = proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "call to node %x: %v", uint64(node), err)
	}
	a.learn(desc, node, re)
	return nil, re
}

// learn turns a failure into what the next attempt does differently.
func (a *attempt) learn(desc *pontoonpb.Descriptor, node proto.NodeID, re *proto.RangeError) {
	id := proto.RangeID(desc.RangeId)
	a.free = false
	switch re.Code {
	case pontoonpb.RangeErrorCode_NOT_LEADER, pontoonpb.RangeErrorCode_STALE_CLOSED: // a follower either way
		hint := proto.NodeID(re.LeaderNode)
		if hint == node {
			hint = 0
		}
		a.cache.Insert(re.Descriptors...)
		a.cache.SetLeader(id, hint)
		a.free = hint != 0
	case pontoonpb.RangeErrorCode_RANGE_MISMATCH:
		a.free = a.cache.Insert(re.Descriptors...)
		// A node whose replica was removed tells where the range is now: not there.
		// That may be known already, and the leader's name be older.
		if now := a.cache.Lookup(a.span.Start); now != nil && !hasReplica(now, node) {
			a.cache.SetLeader(proto.RangeID(now.RangeId), 0)
		}
		if !a.free {
			a.cache.Evict(desc)
		}
	case pontoonpb.RangeErrorCode_RANGE_NOT_FOUND:
		a.cache.SetLeader(id, 0)
		if a.next >= len(desc.Replicas) { // none of them has it: ask the directory
			a.cache.Evict(desc)
		}
	case pontoonpb.RangeErrorCode_UNAVAILABLE, pontoonpb.RangeErrorCode_AMBIGUOUS:
		a.cache.SetLeader(id, 0)
		// None of them answers (P21). The range may have moved away from all of them before
		// they went, so that nobody is left to redirect: ask the directory, once a turn.
		if a.next > 0 && a.next%len(desc.Replicas) == 0 {
			a.cache.Evict(desc)
		}
	}
}

func hasReplica(d *pontoonpb.Descriptor, node proto.NodeID) bool {
	return slices.ContainsFunc(d.Replicas, func(r *pontoonpb.Replica) bool { return r.NodeId == uint64(node) })
}

// final reports whether the error goes to the caller.
func (a *attempt) final(err error) bool {
	var re *proto.RangeError
	if !errors.As(err, &re) {
		return true
	}
	switch re.Code {
	case pontoonpb.RangeErrorCode_NOT_LEADER, pontoonpb.RangeErrorCode_STALE_CLOSED,
		pontoonpb.RangeErrorCode_RANGE_MISMATCH, pontoonpb.RangeErrorCode_RANGE_NOT_FOUND,
		pontoonpb.RangeErrorCode_NOT_PROPOSED, pontoonpb.RangeErrorCode_UNAVAILABLE:
		return false
	case pontoonpb.RangeErrorCode_AMBIGUOUS:
		return !a.again // (P34)
	default:
		return true
	}
}

// pause waits before the next attempt, not at all after a useful redirect.
func (a *attempt) pause(ctx context.Context) error {
	if a.free && a.redirects < freeRedirects {
		a.free = false
		a.redirects++
		a.metrics.redirects.Inc()
		return ctx.Err()
	}
	a.metrics.retries.Inc()
	if a.failing.IsZero() {
		a.failing = time.Now()
	}
	backoff := min(max(time.Since(a.failing)/backoffShare, firstBackoff), lastBackoff)
	timer := time.NewTimer(backoff/2 + rand.N(backoff/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// repeatable reports whether running the operation twice is the same as once.
func repeatable(op *pontoonpb.RangeOp) bool {
	switch o := op.Op.(type) {
	case *pontoonpb.RangeOp_Write, *pontoonpb.RangeOp_Lock, *pontoonpb.RangeOp_Commit,
		*pontoonpb.RangeOp_SysWrite, *pontoonpb.RangeOp_Split, *pontoonpb.RangeOp_ChangeReplicas,
		*pontoonpb.RangeOp_Merge:
		return false
	case *pontoonpb.RangeOp_Lease:
		return o.Lease.Kind != pontoonpb.LeaseOpKind_LEASE_GRANT
	}
	return true // reads, and abort, resolve, forget, which name their txn
}

// locate finds the descriptor for a key in the cache, else in the directory.
func (s *Sender) locate(ctx context.Context, key []byte) (*pontoonpb.Descriptor, error) {
	if d := s.cache.Lookup(key); d != nil {
		return d, nil
	}
	s.metrics.lookups.Inc()
	d, err := s.directory.Lookup(ctx, key)
	if err != nil {
		return nil, err
	}
	if !proto.SpanOf(d.GetSpan()).Contains(key) {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "directory: no range for key %q", key)
	}
	s.cache.Insert(d)
	if cached := s.cache.Lookup(key); cached != nil {
		return cached, nil
	}
	return d, nil
}

// Cover returns the descriptors that together hold every key of the span, in
// key order, each key once (P21). It retries until ctx ends.
func (s *Sender) Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error) {
	var out []*pontoonpb.Descriptor
	wait := attempt{Sender: s}
	for rest := span; !rest.Empty(); {
		d, err := s.locate(ctx, rest.Start)
		if n := len(out); err == nil && n > 0 && !bytes.Equal(d.Span.Start, rest.Start) {
			// It holds keys of the one before: one of the two is from before
			// a split. If it is this one, the directory will know soon.
			if d.Generation > out[n-1].Generation {
				out, rest = nil, span
			}
			err = errSplit
		}
		if err != nil {
			if wait.pause(ctx) != nil {
				return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "etcdserver: request timed out")
			}
			continue
		}
		out = append(out, d)
		rest.Start = d.Span.End
	}
	return out, nil
}

// errSplit says that descriptors do not fit together.
var errSplit = errors.New("router: a range was split meanwhile")
