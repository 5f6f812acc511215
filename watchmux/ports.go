package watchmux

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Ranges knows which range holds which keys.
type Ranges interface {
	// Cover returns the descriptors of the ranges that hold span, in key order,
	// without gaps. It may block on the directory. Old answers are fine: a feed
	// or read refused for its span leads to Learn and another Cover.
	Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error)
	// Learn is told that what Cover said of span was refused, with the
	// descriptors that came with the refusal, possibly none. The next Cover
	// must not answer from the same memory. It does not block.
	Learn(span proto.Span, known []*pontoonpb.Descriptor)
}

// Feeds opens the change feeds of ranges.
type Feeds interface {
	// Open subscribes to the span of a range on a replica of its choice, its
	// own node's first. It bounds the time to open by itself; the feed lives no
	// longer than ctx. attempt is 0 at first and rises while feeds fail or lag: another attempt
	// should try another replica.
	Open(ctx context.Context, desc *pontoonpb.Descriptor, req *pontoonpb.FeedRequest, attempt int) (Feed, error)
}

// Feed is one open feed.
type Feed interface {
	// Recv blocks for the next message, in order. After one with Ended, or an
	// error, the feed is over. Events are not changed by anybody afterwards.
	Recv(ctx context.Context) (*pontoonpb.FeedMessage, error)
	// Close ends the feed; it may be called at any time and twice.
	Close()
}

// History reads what was written before.
type History interface {
	// History returns changes with from <= revision <= to of a span inside one
	// range, in order, complete up to reply.Covered >= from, and less than all
	// only if more than maxBytes were found. Errors are *proto.RangeError:
	// BELOW_FLOOR, STALE_CLOSED, RANGE_MISMATCH and whatever passes.
	History(ctx context.Context, span proto.Span, from, to proto.Revision, maxBytes int64) (*pontoonpb.HistoryReply, error)
	// Previous returns the etcd key as it was at rev; nil if it was not live or
	// rev is below the floor (P25). It is called concurrently for many keys.
	Previous(ctx context.Context, key []byte, rev proto.Revision) (*mvccpb.KeyValue, error)
}

// Read is a read revision with the compaction floor that came with it.
type Read struct {
	Revision proto.Revision
	Floor    proto.Revision
}

// Sequencer gives read revisions.
type Sequencer interface {
	// ReadRevision returns a revision not below any handed out before the call
	// began.
	ReadRevision(ctx context.Context) (Read, error)
	// Seen returns the highest revision this node heard of, without asking.
	Seen() proto.Revision
	// Floor returns the newest compaction floor this node heard of.
	Floor() proto.Revision
}

// Permissions say who may watch what.
type Permissions interface {
	// MayWatch returns why the caller of ctx may not watch the span, "" if it may,
	// by rules no older than the last read revision that this node got. It blocks
	// while rules are read; an error says that they cannot be.
	MayWatch(ctx context.Context, key, end []byte) (refused string, err error)
}

// Closer makes ranges close.
type Closer interface {
	// PushClosed asks the leaders of all ranges, here and on other nodes, to
	// close at rev if they have nothing in flight. It does not wait for them.
	PushClosed(rev proto.Revision)
}
