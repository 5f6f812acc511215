package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// rangeView is a range as scripts see it.
type rangeView struct {
	ID          uint64        `json:"id"`
	Start       string        `json:"start"`
	End         string        `json:"end"`
	Generation  uint64        `json:"generation"`
	Replicas    []string      `json:"replicas"` // node ids
	Members     []replicaView `json:"members"`
	Leader      string        `json:"leader"`
	LeaderName  string        `json:"leader_name"`
	Node        string        `json:"node,omitempty"` // whose view this is
	NodeName    string        `json:"node_name,omitempty"`
	Term        uint64        `json:"term"`
	Applied     uint64        `json:"applied_index"`
	First       uint64        `json:"first_index"`
	Last        uint64        `json:"last_index"`
	Closed      int64         `json:"closed_revision"`
	Floor       int64         `json:"floor"`
	LiveKeys    int64         `json:"live_keys"`
	SizeBytes   int64         `json:"size_bytes"`
	State       string        `json:"state"`
	Hibernating bool          `json:"hibernating"`
	Frozen      bool          `json:"frozen"`
	Load        *loadView     `json:"load,omitempty"`
}

// replicaView is one replica, and how far its leader knows it to be.
type replicaView struct {
	Node          string `json:"node"`
	Name          string `json:"name"`
	ReplicaID     uint64 `json:"replica_id"`
	Role          string `json:"role"`
	Match         uint64 `json:"match,omitempty"`
	Active        *bool  `json:"active,omitempty"`
	SnapshotBytes int64  `json:"snapshot_bytes,omitempty"`
	SnapshotTotal int64  `json:"snapshot_total,omitempty"`
}

type loadView struct {
	Writes float64 `json:"writes_per_second"`
	Reads  float64 `json:"reads_per_second"`
	Bytes  float64 `json:"write_bytes_per_second"`
	Busy   float64 `json:"busy"`
}

func viewRange(s *pontoonpb.RangeStatus, names nodeNames) rangeView {
	v := rangeView{
		ID: s.Desc.RangeId, Start: keys.Text(s.Desc.Span.Start), End: keys.Text(s.Desc.Span.End),
		Generation: s.Desc.Generation, Leader: nodeText(s.LeaderNode), LeaderName: names.text(s.LeaderNode),
		Node: nodeText(s.NodeId), NodeName: names.text(s.NodeId), Term: s.Term,
		Applied: s.AppliedIndex, First: s.FirstIndex, Last: s.LastIndex,
		Closed: s.Closed, Floor: s.Floor, LiveKeys: s.LiveKeys, SizeBytes: s.SizeBytes,
		State: stateText(s), Hibernating: s.Hibernating, Frozen: s.Frozen,
	}
	if l := s.Load; l != nil {
		v.Load = &loadView{Writes: l.WritesPerSecond, Reads: l.ReadsPerSecond, Bytes: l.WriteBytesPerSecond, Busy: l.Busy}
	}
	for _, r := range s.Desc.Replicas {
		v.Replicas = append(v.Replicas, nodeText(r.NodeId))
		m := replicaView{Node: nodeText(r.NodeId), Name: names.text(r.NodeId), ReplicaID: r.ReplicaId, Role: roleText(r.Role)}
		for _, p := range s.Progress {
			if p.ReplicaId == r.ReplicaId {
				m.Match, m.Active = p.Match, &p.Active
				m.SnapshotBytes, m.SnapshotTotal = p.SnapshotBytes, p.SnapshotTotal
			}
		}
		v.Members = append(v.Members, m)
	}
	return v
}

func stateText(s *pontoonpb.RangeStatus) string {
	switch {
	case s.LeaderNode == 0:
		return "no leader"
	case s.Frozen:
		return "merging"
	case s.Hibernating:
		return "asleep"
	}
	return "active"
}

func roleText(r pontoonpb.ReplicaRole) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "REPLICA_"))
}

// membersText names the replicas, sorted; what is not a plain voter says what it
// is.
func membersText(members []replicaView) string {
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = m.Name
		if m.Role != "voter" {
			parts[i] += "(" + m.Role + ")"
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func liveText(n int64) string {
	if n < 0 {
		return "counting"
	}
	return strconv.FormatInt(n, 10)
}

// sizeText renders an estimate of the engine.
func sizeText(n int64) string {
	if n < 0 {
		return "measuring"
	}
	return bytesText(n)
}

// rateText renders a rate per second; nil: nobody measured it.
func rateText(l *loadView, of func(*loadView) float64) string {
	if l == nil {
		return "-"
	}
	if v := of(l); v >= 10 || v == 0 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(of(l), 'f', 1, 64)
}
