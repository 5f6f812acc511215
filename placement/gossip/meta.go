package gossip

import (
	"encoding/binary"
	"errors"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Meta is what a node tells of itself.
type Meta struct {
	Node       proto.NodeID
	Boot       uint64       // random per process start
	RootLeader proto.NodeID // as far as it knows; 0: it does not
	Roster     uint64       // revision of the node records it has read
	Name       string
	Version    string
	PeerURLs   []string
	ClientURLs []string
	Replicas   int64
	Leaders    int64
	SizeBytes  int64
	DiskFree   int64 // of the file system, bytes
	DiskTotal  int64
	Leaving    bool // it stops, and said so before
}

// leavingState is NodeStatus.state of a node that stops.
const leavingState = "leaving"

const metaHeader = 24

// encode returns the meta in at most limit bytes. URLs are left out where they
// do not fit: the node records of the root range have them too.
func (m Meta) encode(limit int) ([]byte, error) {
	status := &pontoonpb.NodeStatus{
		NodeId: uint64(m.Node), Name: m.Name, PeerUrls: m.PeerURLs, ClientUrls: m.ClientURLs,
		Replicas: m.Replicas, Leaders: m.Leaders, SizeBytes: m.SizeBytes, Version: m.Version,
		DiskFreeBytes: m.DiskFree, DiskTotalBytes: m.DiskTotal,
	}
	if m.Leaving {
		status.State = leavingState
	}
	room := limit - metaHeader
	for _, cut := range []func(){
		func() { status.PeerUrls = nil },
		func() { status.ClientUrls = nil },
		func() { status.Name, status.Version = "", "" },
	} {
		if status.SizeVT() <= room {
			break
		}
		cut()
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, limit), m.Boot)
	b = binary.BigEndian.AppendUint64(b, uint64(m.RootLeader))
	b = binary.BigEndian.AppendUint64(b, m.Roster)
	body, err := status.MarshalVT()
	return append(b, body...), err
}

var errShortMeta = errors.New("gossip: node meta is too short")

func decodeMeta(b []byte) (Meta, error) {
	if len(b) < metaHeader {
		return Meta{}, errShortMeta
	}
	s := &pontoonpb.NodeStatus{}
	if err := s.UnmarshalVT(b[metaHeader:]); err != nil {
		return Meta{}, err
	}
	return Meta{
		Node: proto.NodeID(s.NodeId), Boot: binary.BigEndian.Uint64(b),
		RootLeader: proto.NodeID(binary.BigEndian.Uint64(b[8:])),
		Roster:     binary.BigEndian.Uint64(b[16:]),
		Name:       s.Name, Version: s.Version, PeerURLs: s.PeerUrls, ClientURLs: s.ClientUrls,
		Replicas: s.Replicas, Leaders: s.Leaders, SizeBytes: s.SizeBytes,
		DiskFree: s.DiskFreeBytes, DiskTotal: s.DiskTotalBytes,
		Leaving: s.State == leavingState,
	}, nil
}
