package offline

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage"
)

// Owner says whose directory it is.
type Owner struct {
	DataDir   string `json:"data_dir"`
	ClusterID string `json:"cluster_id"`
	NodeID    string `json:"node_id"`
	Name      string `json:"name"`
}

// datadir is an open one.
type datadir struct {
	Owner
	self    proto.NodeID
	cluster *membership.Cluster
}

// name is how people call a node.
func (d datadir) name(id proto.NodeID) string {
	if m, ok := d.cluster.Member(id); ok && m.Name != "" {
		return m.Name
	}
	return hex(uint64(id))
}

func (d datadir) names(ids []proto.NodeID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = d.name(id)
	}
	return list
}

// open opens a node's directory.
func open(dataDir string, readOnly bool) (*storage.Engine, datadir, error) {
	d := datadir{Owner: Owner{DataDir: dataDir}}
	c, err := membership.Load(dataDir)
	if err != nil {
		return nil, d, err
	}
	if c == nil {
		return nil, d, fmt.Errorf("%s is not the data directory of a node", dataDir)
	}
	d.self, d.cluster = c.Self, c
	d.ClusterID, d.NodeID = hex(c.ID), hex(uint64(c.Self))
	d.Name = d.name(c.Self)
	e, err := storage.Open(storage.Options{Dir: membership.EngineDir(dataDir), ReadOnly: readOnly})
	if err != nil {
		return nil, d, err
	}
	id, ok, err := e.Ident()
	switch {
	case err != nil:
	case !ok:
		err = fmt.Errorf("%s has an engine that belongs to nobody", dataDir)
	case id.ClusterID != c.ID || id.NodeID != c.Self:
		err = &storage.IdentError{Have: id, Want: storage.Ident{ClusterID: c.ID, NodeID: c.Self}}
	}
	if err != nil {
		e.Close()
		return nil, d, err
	}
	return e, d, nil
}
