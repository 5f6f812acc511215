package offline

import (
	"errors"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// Inspection is what a directory holds.
type Inspection struct {
	Owner
	Disk   Disk    `json:"disk"`
	Ranges []Range `json:"ranges"`
}

// Disk is what the engine takes, bytes.
type Disk struct {
	Tables    int64 `json:"tables"`
	Logs      int64 `json:"write_ahead_logs"`
	Manifests int64 `json:"manifests"`
	Other     int64 `json:"other"`
	UserData  int64 `json:"user_data"` // of the tables; the rest are raft logs and records
	Files     int   `json:"files"`
}

// Range is one replica.
type Range struct {
	ID         uint64    `json:"range_id"`
	Start      string    `json:"start"`
	End        string    `json:"end"`
	Generation uint64    `json:"generation"`
	ReplicaID  uint64    `json:"replica_id"` // of this node; 0: none, it was removed
	Replicas   []Replica `json:"replicas"`
	Term       uint64    `json:"term"`
	Vote       uint64    `json:"vote"`
	Commit     uint64    `json:"commit"`
	Truncated  uint64    `json:"truncated"`
	Applied    uint64    `json:"applied"`
	Last       uint64    `json:"last"`
	Closed     int64     `json:"closed_revision"`
	Floor      int64     `json:"floor"`     // -1: never compacted
	LiveKeys   int64     `json:"live_keys"` // -1: not known
	Bytes      int64     `json:"bytes"`
}

// Replica is one of a range's.
type Replica struct {
	Node string `json:"node_id"`
	ID   uint64 `json:"replica_id"`
	Role string `json:"role"`
}

// Inspect reads what the directory of a stopped node holds.
func Inspect(dataDir string) (*Inspection, error) {
	e, d, err := open(dataDir, true)
	if err != nil {
		return nil, err
	}
	in := &Inspection{Owner: d.Owner, Ranges: []Range{}}
	err = errors.Join(in.disk(e), in.ranges(e, d.self))
	if err = errors.Join(err, e.Close()); err != nil {
		return nil, err
	}
	return in, nil
}

func (in *Inspection) disk(e *storage.Engine) error {
	files, err := e.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		switch in.Disk.Files++; f.Kind {
		case "table":
			in.Disk.Tables += f.Bytes
		case "log":
			in.Disk.Logs += f.Bytes
		case "manifest":
			in.Disk.Manifests += f.Bytes
		default:
			in.Disk.Other += f.Bytes
		}
	}
	in.Disk.UserData = e.Used()
	return nil
}

func (in *Inspection) ranges(e *storage.Engine, self proto.NodeID) error {
	states, err := e.Ranges()
	if err != nil {
		return err
	}
	for i := range states {
		r, err := describe(e, &states[i], self)
		if err != nil {
			return err
		}
		in.Ranges = append(in.Ranges, r)
	}
	return nil
}

func describe(e *storage.Engine, st *storage.RangeState, self proto.NodeID) (Range, error) {
	d := st.Descriptor
	last, err := e.Log(st.ID()).LastIndex()
	if err != nil {
		return Range{}, err
	}
	size, err := e.SizeOf(st.Span())
	if err != nil {
		return Range{}, err
	}
	r := Range{
		ID: d.RangeId, Start: text(d.Span.GetStart()), End: text(d.Span.GetEnd()), Generation: d.Generation,
		Replicas: replicas(d), Term: st.HardState.GetTerm(), Vote: st.HardState.GetVote(), Commit: st.HardState.GetCommit(),
		Truncated: uint64(st.Truncated.Index), Applied: uint64(st.Applied.Index), Last: last,
		Closed: int64(st.Applied.Closed), Floor: int64(st.Applied.Floor), LiveKeys: st.Applied.LiveKeys, Bytes: size,
	}
	for _, rep := range d.Replicas {
		if rep.NodeId == uint64(self) {
			r.ReplicaID = rep.ReplicaId
		}
	}
	return r, nil
}

var roles = map[pontoonpb.ReplicaRole]string{
	pontoonpb.ReplicaRole_REPLICA_VOTER: "voter", pontoonpb.ReplicaRole_REPLICA_LEARNER: "learner",
	pontoonpb.ReplicaRole_REPLICA_INCOMING: "incoming", pontoonpb.ReplicaRole_REPLICA_OUTGOING: "outgoing",
}

func replicas(d *pontoonpb.Descriptor) []Replica {
	list := make([]Replica, len(d.Replicas))
	for i, rep := range d.Replicas {
		list[i] = Replica{Node: hex(rep.NodeId), ID: rep.ReplicaId, Role: roles[rep.Role]}
	}
	return list
}
