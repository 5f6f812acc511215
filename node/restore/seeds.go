package restore

import (
	"encoding/binary"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// seeds returns the first ranges of the new cluster, the same on every node
// (R1).
func (p *plan) seeds(cluster *membership.Cluster, c *etcdfile.Contents) ([]rangeraft.Seed, error) {
	var splits [][]byte
	for _, r := range p.ranges[1:] {
		splits = append(splits, r.span.Start)
	}
	descs := directory.BootstrapSplit(cluster.NodeIDs(), splits)
	records, err := rootRecords(cluster, descs, c)
	if err != nil {
		return nil, err
	}
	seeds := make([]rangeraft.Seed, len(descs))
	for i, d := range descs {
		seeds[i] = rangeraft.Seed{Desc: d, Closed: c.Revision, Floor: c.Floor}
		switch user := i - (len(descs) - len(p.ranges)); {
		case proto.RangeID(d.RangeId) == proto.RootRange:
			seeds[i].Records = records
		case user >= 0:
			seeds[i].LiveKeys = p.ranges[user].keys
		}
	}
	return seeds, nil
}

// rootRecords are those of a bootstrap, and what the file says of the whole.
func rootRecords(cluster *membership.Cluster, descs []*pontoonpb.Descriptor, c *etcdfile.Contents) ([]*pontoonpb.SysRecord, error) {
	records, err := directory.InitialRecords(descs)
	if err != nil {
		return nil, err
	}
	nodes := make([]*pontoonpb.NodeRecord, len(cluster.Members))
	for i, m := range cluster.Members {
		nodes[i] = &pontoonpb.NodeRecord{NodeId: uint64(m.ID), Name: m.Name, PeerUrls: m.PeerURLs}
	}
	initial, err := roster.InitialRecords(nodes)
	if err != nil {
		return nil, err
	}
	records = append(records, initial...)
	put := func(key, value []byte) { records = append(records, &pontoonpb.SysRecord{Key: key, Value: value}) }
	// Numbers go on above the limit (R4).
	put(keys.SequencerLimit, sequencer.EncodeLimit(c.Revision))
	if c.Floor > 0 {
		put(keys.Floor, number(uint64(c.Floor)))
	}
	a := &c.Auth
	if !a.Enabled && len(a.Users)+len(a.Roles) == 0 {
		return records, nil
	}
	for name, user := range a.Users {
		put(keys.AuthUser(name), user)
	}
	for name, role := range a.Roles {
		put(keys.AuthRole(name), role)
	}
	if a.Enabled {
		put(keys.AuthEnabled, []byte{1})
	}
	put(keys.AuthRevision, number(a.Revision))
	put(keys.AuthEpoch, number(1))
	return records, nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
