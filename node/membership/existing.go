package membership

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// ParseExisting reads --initial-cluster of a node that was added to a running
// cluster: peer URLs by name. Unlike for a new cluster the advertised URLs need
// not be among them: the member announced its own before it started.
func ParseExisting(initial, self string) (map[string][]string, error) {
	urls, err := parseURLs(initial)
	if err != nil {
		return nil, err
	}
	if _, ok := urls[self]; !ok {
		return nil, fmt.Errorf("couldn't find local name %q in the initial cluster configuration", self)
	}
	return urls, nil
}

// Validate refuses flags that do not describe the members of the running
// cluster; the texts are etcd's.
func Validate(clusterID uint64, nodes []*pontoonpb.NodeRecord, flags map[string][]string) error {
	have := slices.DeleteFunc(slices.Clone(nodes), func(n *pontoonpb.NodeRecord) bool {
		return n.State == pontoonpb.NodeState_NODE_REMOVED || n.Leaving
	})
	problem := func() error {
		if len(have) != len(flags) {
			return errors.New("member count is unequal")
		}
		for _, n := range have {
			if !named(n.PeerUrls, flags) {
				return fmt.Errorf("PeerURLs: no match found for existing member (%x, %v), last resolver error (<nil>)", n.NodeId, n.PeerUrls)
			}
		}
		return nil
	}()
	if problem == nil {
		return nil
	}
	return fmt.Errorf("error validating peerURLs %s: %w", describe(clusterID, have), problem)
}

func named(urls []string, flags map[string][]string) bool {
	want := slices.Sorted(slices.Values(urls))
	for _, us := range flags {
		if slices.Equal(want, slices.Sorted(slices.Values(us))) {
			return true
		}
	}
	return false
}

func describe(clusterID uint64, nodes []*pontoonpb.NodeRecord) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = fmt.Sprintf("{ID:%x Name:%s PeerURLs:%v IsLearner:%v}", n.NodeId, n.Name, n.PeerUrls, n.Learner)
	}
	return fmt.Sprintf("{ClusterID:%x Members:[%s]}", clusterID, strings.Join(parts, " "))
}

// SetMembers takes over what the records say and reports whether that is news.
// Removed members stay known as such.
func (c *Cluster) SetMembers(nodes []*pontoonpb.NodeRecord) bool {
	list := make([]Member, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, Member{
			ID: proto.NodeID(n.NodeId), Name: n.Name, PeerURLs: n.PeerUrls, ClientURLs: n.ClientUrls,
			Removed: n.State == pontoonpb.NodeState_NODE_REMOVED,
		})
	}
	slices.SortFunc(list, byID)
	same := slices.EqualFunc(list, c.Members, func(a, b Member) bool {
		return a.ID == b.ID && a.Name == b.Name && a.Removed == b.Removed &&
			slices.Equal(a.PeerURLs, b.PeerURLs) && slices.Equal(a.ClientURLs, b.ClientURLs)
	})
	c.Members = list
	return !same
}

// Records returns what is known of the members as records that give way to any
// record that was read.
func (c *Cluster) Records() []*pontoonpb.NodeRecord {
	list := make([]*pontoonpb.NodeRecord, len(c.Members))
	for i, m := range c.Members {
		list[i] = &pontoonpb.NodeRecord{NodeId: uint64(m.ID), Name: m.Name, PeerUrls: m.PeerURLs, ClientUrls: m.ClientURLs}
		if m.Removed {
			list[i].State = pontoonpb.NodeState_NODE_REMOVED
		}
	}
	return list
}

func byID(a, b Member) int {
	if a.ID < b.ID {
		return -1
	}
	return 1
}
