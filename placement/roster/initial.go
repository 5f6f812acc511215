package roster

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// InitialRecords returns the records of the nodes of a new cluster, for nodes
// that write them as part of their own bootstrap state. Deterministic.
func InitialRecords(nodes []*pontoonpb.NodeRecord) ([]*pontoonpb.SysRecord, error) {
	var records []*pontoonpb.SysRecord
	for _, n := range nodes {
		n = clone(n)
		n.Revision = 1
		value, err := n.MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("roster: node %x: %w", n.NodeId, err)
		}
		records = append(records, &pontoonpb.SysRecord{Key: keys.Node(proto.NodeID(n.NodeId)), Value: value})
	}
	return records, nil
}
