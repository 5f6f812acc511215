package feed

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// View is a consistent read view of the replica's engine.
type View interface {
	// Applied returns the applied index and the compaction floor of the range,
	// read in this same view (P24, P41).
	Applied() (proto.Index, proto.Revision, error)
	// Changes calls fn for every version in span with from <= revision <= to,
	// in any order, exactly (inexact block filters are its business). fn may
	// keep the event and must be given one that nobody changes later. It stops
	// when fn returns false.
	Changes(span proto.Span, from, to proto.Revision, fn func(*pontoonpb.ChangeEvent) (more bool)) error
	// Close releases the view.
	Close()
}

// OpenView takes a view of the present state. It is called after the
// subscription is registered, outside of the hub's lock, at the first Recv.
// Apply must make a change visible to new views before publishing it.
type OpenView func() (View, error)
