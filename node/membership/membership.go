// Package membership computes who belongs to a cluster that starts from
// --initial-cluster, and remembers it beside the data.
//
//	--initial-cluster, token --Parse--> Cluster --Save--> DATA/cluster.json
//	                                                  \--Load-- restart
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
)

// Member is one node of the cluster.
type Member struct {
	ID       proto.NodeID `json:"id"`
	Name     string       `json:"name"`
	PeerURLs []string     `json:"peer_urls"`
}

// Cluster is the static membership a node starts with. Members are in id
// order.
type Cluster struct {
	ID      uint64       `json:"cluster_id"`
	Self    proto.NodeID `json:"self"`
	Members []Member     `json:"members"`
}

// Parse builds the membership from etcd's flags: initial is
// "name=url,name=url", a name given twice has two URLs. self must be among
// the names, with exactly the advertised peer URLs.
func Parse(initial, token, self string, advertised []string) (*Cluster, error) {
	urls := map[string][]string{}
	for _, part := range strings.Split(initial, ",") {
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
		urls[name] = append(urls[name], u)
	}
	c := &Cluster{}
	seen := map[string]string{}
	for name, us := range urls {
		sort.Strings(us)
		for _, u := range us {
			if other, dup := seen[u]; dup {
				return nil, fmt.Errorf("--initial-cluster: %s is given to both %s and %s", u, other, name)
			}
			seen[u] = name
		}
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
	slices.SortFunc(c.Members, func(a, b Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	c.Self = directory.MemberID(mine, token)
	c.ID = directory.ClusterID(c.NodeIDs())
	return c, nil
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

// Load returns the membership saved in the data directory, nil if none was.
// A file that cannot be read as one is an error: guessing who the cluster is
// would be worse than not starting.
func Load(dataDir string) (*Cluster, error) {
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
