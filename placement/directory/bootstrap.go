package directory

import (
	"crypto/sha1"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	userReplicas = 3                   // of any range but the root range
	rootReplicas = 5                   // its failover is the write outage of the whole
	firstFreeID  = proto.UserRange + 1 // of a cluster that begins with nothing
)

// MemberID returns etcd's id of a member of the initial cluster.
func MemberID(peerURLs []string, token string) proto.NodeID {
	sorted := slices.Clone(peerURLs)
	slices.Sort(sorted)
	sum := sha1.Sum([]byte(strings.Join(sorted, "") + token))
	return proto.NodeID(binary.BigEndian.Uint64(sum[:8]))
}

// ClusterID returns etcd's id of a cluster of the given initial members.
func ClusterID(members []proto.NodeID) uint64 {
	var b []byte
	for _, id := range sortedNodes(members) {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	sum := sha1.Sum(b)
	return binary.BigEndian.Uint64(sum[:8])
}

// Bootstrap returns the ranges of a new cluster. It is a function of the
// members alone, so that every node creates the same.
func Bootstrap(members []proto.NodeID) []*pontoonpb.Descriptor { return BootstrapSplit(members, nil) }

// BootstrapSplit is Bootstrap with the user span split at the given internal
// keys, which rise. The ranges go round the nodes.
func BootstrapSplit(members []proto.NodeID, splits [][]byte) []*pontoonpb.Descriptor {
	nodes := sortedNodes(members)
	ranges := []*pontoonpb.Descriptor{
		initial(proto.RootRange, keys.MetaSpan, nodes, rootReplicas),
		initial(proto.LeaseRange, keys.LeaseSpan, nodes, userReplicas),
	}
	start := keys.UserSpan.Start
	for i, end := range slices.Concat(splits, [][]byte{keys.UserSpan.End}) {
		first := i % len(nodes)
		ranges = append(ranges, initial(proto.UserRange+proto.RangeID(i), proto.Span{Start: start, End: end},
			slices.Concat(nodes[first:], nodes[:first]), userReplicas))
		start = end
	}
	return ranges
}

// RestoredClusterID is the id of a cluster that begins with the data of a
// backup. Nodes that were given different data, and those of the cluster that
// the backup is of, are strangers to each other.
func RestoredClusterID(members []proto.NodeID, digest []byte) uint64 {
	sum := sha1.Sum(append(binary.BigEndian.AppendUint64(nil, ClusterID(members)), digest...))
	return binary.BigEndian.Uint64(sum[:8])
}

func initial(id proto.RangeID, span proto.Span, nodes []proto.NodeID, replicas int) *pontoonpb.Descriptor {
	d := &pontoonpb.Descriptor{RangeId: uint64(id), Span: span.Wire(), Generation: 1}
	for i, n := range nodes[:min(replicas, len(nodes))] {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: uint64(n), ReplicaId: uint64(i + 1)})
	}
	d.NextReplicaId = uint64(len(d.Replicas) + 1)
	return d
}

// InitialRecords returns the records of the meta span that describe the
// bootstrap ranges. Deterministic, for nodes that write them as part of their
// own bootstrap state.
func InitialRecords(ranges []*pontoonpb.Descriptor) ([]*pontoonpb.SysRecord, error) {
	free := firstFreeID
	for _, d := range ranges {
		free = max(free, proto.RangeID(d.RangeId)+1)
	}
	records := []*pontoonpb.SysRecord{{Key: keys.NextRangeID, Value: encodeID(free)}}
	for _, d := range ranges {
		r, err := record(d)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func sortedNodes(ids []proto.NodeID) []proto.NodeID {
	nodes := slices.Clone(ids)
	slices.Sort(nodes)
	return nodes
}
