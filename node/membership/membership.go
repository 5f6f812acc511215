// Package membership computes who belongs to a cluster that starts from
// --initial-cluster, and remembers who belongs to it beside the data.
//
//	--initial-cluster, token --Parse--> Cluster --Save--> DATA/cluster.json
//	records of the root range ------------^           \--Load-- restart
//
// The file serves to find the others again, and to know of removals that were
// heard; what is true stands in the root range.
//
// Member and cluster ids are etcd's: SHA-1 over the sorted peer URLs and the
// token, and over the sorted member ids, first eight bytes. All nodes that are
// given the same flags agree without a message. It never talks to the network.
package membership

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Member is one node of the cluster.
type Member struct {
	ID         proto.NodeID `json:"id"`
	Name       string       `json:"name"`
	PeerURLs   []string     `json:"peer_urls"`
	ClientURLs []string     `json:"client_urls,omitempty"` // none: it was not seen to start
	Removed    bool         `json:"removed,omitempty"`
}

// Cluster is the membership a node starts with. Members are in id order.
type Cluster struct {
	ID      uint64       `json:"cluster_id"`
	Self    proto.NodeID `json:"self"`
	Token   string       `json:"token,omitempty"` // of --initial-cluster-token, where it was founded
	Members []Member     `json:"members"`
	Root    Root         `json:"root_range"`
}

// Root says where the root range was: no directory can tell.
type Root struct {
	Generation uint64         `json:"generation,omitempty"`
	Nodes      []proto.NodeID `json:"nodes,omitempty"`
}

// Parse builds the membership from etcd's flags: initial is
// "name=url,name=url", a name given twice has two URLs. self must be among
// the names, with exactly the advertised peer URLs.
func Parse(initial, token, self string, advertised []string) (*Cluster, error) {
	urls, err := parseURLs(initial)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Token: token}
	for name, us := range urls {
		c.Members = append(c.Members, Member{ID: directory.MemberID(us, token), Name: name, PeerURLs: us})
	}
	mine, ok := urls[self]
	if !ok {
		return nil, fmt.Errorf("couldn't find local name %q in the initial cluster configuration", self)
	}
	want := slices.Sorted(slices.Values(advertised))
	if !slices.Equal(mine, want) {
		return nil, fmt.Errorf("--initial-cluster has %s=%s but missing from --initial-advertise-peer-urls=%s",
			self, strings.Join(mine, ","), strings.Join(want, ","))
	}
	slices.SortFunc(c.Members, byID)
	c.Self = directory.MemberID(mine, token)
	c.ID = directory.ClusterID(c.NodeIDs())
	c.SetRoot(directory.Bootstrap(c.NodeIDs())[0])
	return c, nil
}

// parseURLs reads "name=url,name=url" into sorted URLs by name.
func parseURLs(initial string) (map[string][]string, error) {
	urls, seen := map[string][]string{}, map[string]string{}
	for part := range strings.SplitSeq(initial, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, u, ok := strings.Cut(part, "=")
		if !ok || name == "" || u == "" {
			return nil, fmt.Errorf("--initial-cluster: %q is not name=url", part)
		}
		if parsed, err := url.Parse(u); err != nil || parsed.Host == "" {
			return nil, fmt.Errorf("--initial-cluster: %q is not a URL", u)
		}
		if other, dup := seen[u]; dup {
			return nil, fmt.Errorf("--initial-cluster: %s is given to both %s and %s", u, other, name)
		}
		seen[u] = name
		urls[name] = append(urls[name], u)
		sort.Strings(urls[name])
	}
	return urls, nil
}

// SetRoot notes the descriptor of the root range and reports whether that is
// news.
func (c *Cluster) SetRoot(d *pontoonpb.Descriptor) bool {
	if d.Generation <= c.Root.Generation {
		return false
	}
	c.Root = Root{Generation: d.Generation}
	for _, r := range d.Replicas {
		c.Root.Nodes = append(c.Root.Nodes, proto.NodeID(r.NodeId))
	}
	return true
}

// RootRange returns a descriptor of the root range that leads to it, or to
// somebody who knows better. Nodes without one are asked all.
func (c *Cluster) RootRange() *pontoonpb.Descriptor {
	nodes := c.Root.Nodes
	if len(nodes) == 0 {
		nodes = c.NodeIDs()
	}
	d := &pontoonpb.Descriptor{
		RangeId: uint64(proto.RootRange), Span: keys.MetaSpan.Wire(), Generation: c.Root.Generation,
	}
	for _, n := range nodes {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: uint64(n)})
	}
	return d
}

// Moved reports whether meant is this cluster with other addresses: the same
// token and names, and this node has its own.
func (c *Cluster) Moved(meant *Cluster, self string) bool {
	if c.Token != meant.Token || len(c.Members) != len(meant.Members) {
		return false
	}
	names := map[string]proto.NodeID{}
	for _, m := range c.Members {
		names[m.Name] = m.ID
	}
	for _, m := range meant.Members {
		if _, ok := names[m.Name]; !ok {
			return false
		}
	}
	return names[self] == c.Self
}

// NodeIDs returns the members' ids, ascending.
func (c *Cluster) NodeIDs() []proto.NodeID {
	ids := make([]proto.NodeID, len(c.Members))
	for i, m := range c.Members {
		ids[i] = m.ID
	}
	return ids
}

// Member returns the member with the id.
func (c *Cluster) Member(id proto.NodeID) (Member, bool) {
	for _, m := range c.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

const fileName = "cluster.json"

// EngineDir is where the engine of a data directory lies.
func EngineDir(dataDir string) string { return filepath.Join(dataDir, "engine") }

// RestoreDir is where a restore works. While it is there, the data directory
// is nobody's.
func RestoreDir(dataDir string) string { return filepath.Join(dataDir, "restore.tmp") }

// Load returns the membership saved in the data directory, nil if none was.
// A file that cannot be read as one is an error: guessing who the cluster is
// would be worse than not starting.
func Load(dataDir string) (*Cluster, error) {
	if _, err := os.Stat(RestoreDir(dataDir)); err == nil {
		return nil, fmt.Errorf("membership: a restore into %s did not finish; remove the directory and restore again", dataDir)
	}
	path := filepath.Join(dataDir, fileName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	var c Cluster
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("membership: %s is damaged (%w); restore the file or start this node with an empty data directory", path, err)
	}
	if c.ID == 0 || c.Self == 0 || len(c.Members) == 0 {
		return nil, fmt.Errorf("membership: %s is damaged: no cluster id, node id or members", path)
	}
	return &c, nil
}

// Save writes the membership atomically and durably.
func (c *Cluster) Save(dataDir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	tmp, err := os.CreateTemp(dataDir, fileName+".*")
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dataDir, fileName))
	}
	if err == nil {
		err = SyncDir(dataDir)
	}
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
