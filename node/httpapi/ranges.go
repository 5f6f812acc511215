package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Ranges are the replicas of this node. Listing ids is cheap however many there
// are; a replica is looked at only when its page is asked for.
type Ranges interface {
	// RangeIDs returns the ranges that have a replica here, ascending.
	RangeIDs() []proto.RangeID
	// Show describes one replica and counts its locks; nil: gone meanwhile.
	Show(id proto.RangeID) (*pontoonpb.RangeStatus, int, error)
	// Seen is the highest revision that this node knows of.
	Seen() proto.Revision
	// KeysOpen says whether whoever reaches the port may see keys: not where
	// authentication is on.
	KeysOpen(ctx context.Context) bool
	// NodeName names a node for people.
	NodeName(id proto.NodeID) string
}

// Sizes of a page of /debug/ranges.
const (
	pageSize    = 200
	maxPageSize = 2000
)

// replicaView is one line of /debug/ranges.
type replicaView struct {
	Range       uint64  `json:"range"`
	Start       string  `json:"start"`
	End         string  `json:"end"`
	Generation  uint64  `json:"generation"`
	Role        string  `json:"role"` // leader, or what the descriptor says
	Leader      string  `json:"leader"`
	Lease       bool    `json:"leader_lease_valid"`
	Term        uint64  `json:"term"`
	First       uint64  `json:"first_index"`
	Applied     uint64  `json:"applied_index"`
	Last        uint64  `json:"last_index"`
	Closed      int64   `json:"closed_revision"`
	ClosedLag   int64   `json:"closed_lag"` // revisions that are not closed yet
	Floor       int64   `json:"floor"`
	Locks       int     `json:"locks"`
	LiveKeys    int64   `json:"live_keys"`  // -1: not counted yet
	SizeBytes   int64   `json:"size_bytes"` // -1: not measured yet
	Hibernating bool    `json:"hibernating"`
	Frozen      bool    `json:"frozen"`
	Writes      float64 `json:"writes_per_second"` // of a leader, as the next three
	Reads       float64 `json:"reads_per_second"`
	WriteBytes  float64 `json:"write_bytes_per_second"`
	Busy        float64 `json:"busy"`
}

// rangesPage is one page of /debug/ranges.
type rangesPage struct {
	Replicas int           `json:"replicas"` // of this node
	Ranges   []replicaView `json:"ranges"`
	Next     uint64        `json:"next,omitempty"` // give it as after; 0: that was the last page
}

// ranges serves /debug/ranges?after=ID&limit=N&range=ID&format=json.
func (h *handler) ranges(w http.ResponseWriter, r *http.Request) {
	if !onlyGet(w, r) {
		return
	}
	q := r.URL.Query()
	after, err := number(q, "after", 0)
	limit, lerr := number(q, "limit", pageSize)
	only, oerr := number(q, "range", 1)
	if q.Has("range") {
		after, limit = only-1, 1
	}
	format := q.Get("format")
	if err != nil || lerr != nil || oerr != nil || limit < 1 || only < 1 || format != "" && format != "json" {
		http.Error(w, "after, range and limit are positive numbers, format is json or not given", http.StatusBadRequest)
		return
	}
	page, err := h.page(r.Context(), proto.RangeID(after), int(min(limit, maxPageSize)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if q.Has("range") {
		page.Next = 0
		if len(page.Ranges) == 0 || page.Ranges[0].Range != only {
			http.Error(w, "no replica of this range is here", http.StatusNotFound)
			return
		}
	}
	if format == "json" {
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, page)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(page.text())
}

func number(q url.Values, name string, byDefault uint64) (uint64, error) {
	if !q.Has(name) {
		return byDefault, nil
	}
	return strconv.ParseUint(q.Get(name), 10, 63)
}

// page looks at up to limit replicas above an id.
func (h *handler) page(ctx context.Context, after proto.RangeID, limit int) (*rangesPage, error) {
	ids := h.Ranges.RangeIDs()
	p := &rangesPage{Replicas: len(ids), Ranges: []replicaView{}}
	name := keys.Text
	if !h.Ranges.KeysOpen(ctx) {
		name = spanName
	}
	from, _ := slices.BinarySearch(ids, after+1)
	for i, id := range ids[from:] {
		if i == limit {
			p.Next = uint64(ids[from+i-1])
			break
		}
		st, locks, err := h.Ranges.Show(id)
		if err != nil {
			return nil, fmt.Errorf("range %d: %w", id, err)
		}
		if st != nil {
			p.Ranges = append(p.Ranges, h.view(st, locks, name))
		}
	}
	return p, nil
}

func (h *handler) view(st *pontoonpb.RangeStatus, locks int, name func(key []byte) string) replicaView {
	v := replicaView{
		Range: st.Desc.RangeId, Start: name(st.Desc.Span.Start), End: name(st.Desc.Span.End),
		Generation: st.Desc.Generation, Role: role(st), Leader: h.Ranges.NodeName(proto.NodeID(st.LeaderNode)),
		Lease: st.LeaderLeaseValid, Term: st.Term, First: st.FirstIndex, Applied: st.AppliedIndex, Last: st.LastIndex,
		Closed: st.Closed, ClosedLag: max(0, int64(h.Ranges.Seen())-st.Closed), Floor: st.Floor, Locks: locks,
		LiveKeys: st.LiveKeys, SizeBytes: st.SizeBytes, Hibernating: st.Hibernating, Frozen: st.Frozen,
	}
	if l := st.Load; l != nil {
		v.Writes, v.Reads, v.WriteBytes, v.Busy = l.WritesPerSecond, l.ReadsPerSecond, l.WriteBytesPerSecond, l.Busy
	}
	return v
}

// spanName is keys.Text without what a key tells: the borders of the spans are
// no secret.
func spanName(key []byte) string {
	for _, border := range [][]byte{keys.MetaSpan.Start, keys.LeaseSpan.Start, keys.UserSpan.Start, keys.Max} {
		if bytes.Equal(key, border) {
			return keys.Text(key)
		}
	}
	return "hidden"
}

// role is what the replica is here.
func role(st *pontoonpb.RangeStatus) string {
	if st.NodeId == st.LeaderNode {
		return "leader"
	}
	for _, r := range st.Desc.Replicas {
		if r.NodeId != st.NodeId {
			continue
		}
		switch r.Role {
		case pontoonpb.ReplicaRole_REPLICA_LEARNER:
			return "learner"
		case pontoonpb.ReplicaRole_REPLICA_INCOMING:
			return "incoming"
		case pontoonpb.ReplicaRole_REPLICA_OUTGOING:
			return "outgoing"
		}
		return "follower"
	}
	return "departed"
}

// text renders the page as a table.
func (p *rangesPage) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d replicas on this node\n\n", p.Replicas)
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "RANGE\tSTART\tEND\tGEN\tROLE\tLEADER\tTERM\tFIRST\tAPPLIED\tLAST\tCLOSED\tLAG\tLOCKS\tKEYS\tBYTES\tWRITES/S\tREADS/S\tBUSY\tSTATE")
	for _, v := range p.Ranges {
		fmt.Fprintf(tw, "%d\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%.2f\t%s\n",
			v.Range, v.Start, v.End, v.Generation, v.Role, v.Leader, v.Term, v.First, v.Applied, v.Last, v.Closed, v.ClosedLag,
			v.Locks, v.LiveKeys, v.SizeBytes, v.Writes, v.Reads, v.Busy, v.state())
	}
	tw.Flush()
	if p.Next != 0 {
		fmt.Fprintf(&b, "\nmore: /debug/ranges?after=%d\n", p.Next)
	}
	return b.Bytes()
}

func (v replicaView) state() string {
	switch {
	case v.Frozen:
		return "merging"
	case v.Hibernating:
		return "asleep"
	case v.Role == "leader" && !v.Lease:
		return "no lease"
	}
	return "active"
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(b)
}
