package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// MissingRange is a part of the keyspace whose data is not here.
type MissingRange struct {
	ID    uint64 `json:"range_id"` // 0: not known here
	Start string `json:"start"`
	End   string `json:"end"`
	// Survivors are nodes with a replica, where it can be recovered.
	Survivors []string `json:"survivors"`
}

type nodeSet map[proto.NodeID]bool

// lostNodes finds the nodes by name or id. Those that were removed are lost.
func (d datadir) lostNodes(named []string, states []storage.RangeState) (nodeSet, error) {
	lost, byID := nodeSet{}, nodeSet{}
	byName := map[string]proto.NodeID{}
	for _, m := range d.cluster.Members {
		byID[m.ID], byName[m.Name] = true, m.ID
		if m.Removed {
			lost[m.ID] = true
		}
	}
	for _, st := range states {
		for _, rep := range st.Descriptor.Replicas {
			byID[proto.NodeID(rep.NodeId)] = true // the list of members may be older
		}
	}
	for _, s := range named {
		id, ok := byName[s]
		if !ok {
			n, err := strconv.ParseUint(s, 16, 64)
			if id = proto.NodeID(n); err != nil || !byID[id] {
				return nil, fmt.Errorf("no node %q is known here", s)
			}
		}
		if id == d.self {
			return nil, fmt.Errorf("%s is the node of this directory: it is not lost", s)
		}
		lost[id] = true
	}
	return lost, nil
}

// silence is how long a lost node has to answer.
const silence = time.Second

// silent refuses to take a node for lost that can be reached.
func (d datadir) silent(ctx context.Context, lost nodeSet) error {
	for _, m := range d.cluster.Members {
		if !lost[m.ID] || m.Removed {
			continue
		}
		for _, raw := range m.PeerURLs {
			u, err := url.Parse(raw)
			if err != nil {
				continue
			}
			dialer := net.Dialer{Timeout: silence}
			conn, err := dialer.DialContext(ctx, "tcp", u.Host)
			if err == nil {
				return errors.Join(fmt.Errorf("something answers at %s, where node %s is: if it runs it is not lost", raw, m.Name), conn.Close())
			}
		}
	}
	return ctx.Err()
}

// voters returns the nodes of a descriptor that have a vote and are not lost.
func voters(d *pontoonpb.Descriptor, lost nodeSet) (list []proto.NodeID) {
	for _, rep := range d.Replicas {
		if n := proto.NodeID(rep.NodeId); rep.Role != pontoonpb.ReplicaRole_REPLICA_LEARNER && !lost[n] {
			list = append(list, n)
		}
	}
	return list
}

// quorate reports whether a majority of the votes is left, of both halves of a
// joint configuration.
func quorate(d *pontoonpb.Descriptor, lost nodeSet) bool {
	cs := storage.ConfState(d)
	for _, half := range [][]uint64{cs.Voters, cs.VotersOutgoing} {
		alive := 0
		for _, rep := range d.Replicas {
			if slices.Contains(half, rep.ReplicaId) && !lost[proto.NodeID(rep.NodeId)] {
				alive++
			}
		}
		if len(half) > 0 && alive <= len(half)/2 {
			return false
		}
	}
	return len(cs.Voters) > 0
}

func holds(d *pontoonpb.Descriptor, node proto.NodeID) bool {
	return slices.ContainsFunc(d.Replicas, func(rep *pontoonpb.Replica) bool { return rep.NodeId == uint64(node) })
}

// recordedRanges reads the directory, as far as this node has it.
func recordedRanges(e *storage.Engine) ([]*pontoonpb.Descriptor, error) {
	view, err := e.NewView()
	if err != nil {
		return nil, err
	}
	var list []*pontoonpb.Descriptor
	err = view.Local(pontoonpb.Space_SPACE_SYS, keys.DirectorySpan, func(rec storage.LocalRecord) (bool, error) {
		d := &pontoonpb.Descriptor{}
		if err := d.UnmarshalVT(rec.Value); err != nil {
			return false, fmt.Errorf("directory: %w", err)
		}
		list = append(list, d)
		return true, nil
	})
	return list, errors.Join(err, view.Close())
}

// newest returns what is known last of who holds a range's first key: the range
// may have been moved since this node heard of it.
func newest(d *pontoonpb.Descriptor, recorded []*pontoonpb.Descriptor) *pontoonpb.Descriptor {
	for _, r := range recorded {
		if r.Generation > d.Generation && proto.SpanOf(r.Span).Contains(d.Span.Start) {
			d = r
		}
	}
	return d
}

// missing lists what no range here covers and, as far as the directory knows,
// nobody serves.
func missing(have []storage.RangeState, recorded []*pontoonpb.Descriptor, lost nodeSet, names func([]proto.NodeID) []string) []MissingRange {
	list := []MissingRange{}
	for _, gap := range gaps(have) {
		told := false
		for _, d := range recorded {
			part := proto.SpanOf(d.Span).Intersect(gap)
			if part.Empty() {
				continue
			}
			if told = true; !quorate(d, lost) {
				list = append(list, MissingRange{d.RangeId, text(part.Start), text(part.End), names(voters(d, lost))})
			}
		}
		if !told {
			list = append(list, MissingRange{0, text(gap.Start), text(gap.End), []string{}})
		}
	}
	return list
}

// gaps returns what of the keyspace the ranges leave out.
func gaps(have []storage.RangeState) (list []proto.Span) {
	spans := make([]proto.Span, len(have))
	for i := range have {
		spans[i] = have[i].Span()
	}
	slices.SortFunc(spans, func(a, b proto.Span) int { return bytes.Compare(a.Start, b.Start) })
	at := keys.MetaSpan.Start
	for _, s := range append(spans, proto.Span{Start: keys.Max, End: keys.Max}) {
		if bytes.Compare(s.Start, at) > 0 {
			list = append(list, proto.Span{Start: at, End: s.Start})
		}
		if bytes.Compare(s.End, at) > 0 {
			at = s.End
		}
	}
	return list
}

func text(key []byte) string { return keys.Text(key) }
