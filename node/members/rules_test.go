package members

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

var (
	now    = time.Unix(1000, 0)
	loose  = Limits{MaxLearners: 1}
	strict = Limits{Strict: true, MaxLearners: 1}
)

func there(proto.NodeID) bool  { return true }
func absent(proto.NodeID) bool { return false }

// three are members that started.
func three() []*pontoonpb.NodeRecord {
	var all []*pontoonpb.NodeRecord
	for i, name := range []string{"a", "b", "c"} {
		all = append(all, &pontoonpb.NodeRecord{NodeId: uint64(i + 1), Name: name, PeerUrls: []string{"http://" + name + ":1"}, Revision: 1})
	}
	return all
}

// M3: no two members share a peer URL, however they come; a removed one has
// given its own up.
func TestM3PeerURLs(t *testing.T) {
	all := three()
	if _, err := add(all, []string{"http://x:1", "http://b:1"}, false, loose, there, now); !errors.Is(err, rpctypes.ErrGRPCPeerURLExist) {
		t.Error(err)
	}
	if _, err := update(all, 1, []string{"http://b:1"}); !errors.Is(err, rpctypes.ErrGRPCPeerURLExist) {
		t.Error(err)
	}
	if r, err := update(all, 1, []string{"http://a:1", "http://a:2"}); err != nil || len(r.PeerUrls) != 2 {
		t.Error(r, err)
	}
	if _, _, err := join(all, &pontoonpb.JoinRequest{NodeId: 1, Name: "a", PeerUrls: []string{"http://b:1"}}, now); err == nil {
		t.Error("a member moved to where another one is")
	}
	all[1].State = pontoonpb.NodeState_NODE_REMOVED
	if _, err := add(all, []string{"http://b:1"}, false, loose, there, now); err != nil {
		t.Error(err)
	}
}

// M2: no id comes back, whatever the clock says.
func TestM2IDs(t *testing.T) {
	urls := []string{"http://x:1"}
	first, err := add(nil, urls, false, loose, there, now)
	if err != nil {
		t.Fatal(err)
	}
	gone := clone(first)
	gone.State = pontoonpb.NodeState_NODE_REMOVED
	second, err := add([]*pontoonpb.NodeRecord{gone}, urls, false, loose, there, now)
	if err != nil || second.NodeId == first.NodeId {
		t.Errorf("%x again: %v", first.NodeId, err)
	}
	_, _, err = join([]*pontoonpb.NodeRecord{gone}, &pontoonpb.JoinRequest{NodeId: gone.NodeId, Name: "x", PeerUrls: urls}, now)
	var no *Refusal
	if !errors.As(err, &no) || !no.Removed || no.Reason != Removed {
		t.Error(err)
	}
}

// M5: only a member that never started is taken over by a node without data.
func TestM5Join(t *testing.T) {
	all := three()
	req := func(urls ...string) *pontoonpb.JoinRequest { return &pontoonpb.JoinRequest{Name: "d", PeerUrls: urls} }
	if _, _, err := join(all, req("http://b:1"), now); err == nil || !strings.Contains(err.Error(), "without its data") {
		t.Errorf("took over a member that had started: %v", err)
	}
	record, next, err := join(all, req("http://d:1"), now)
	if err != nil || next == nil || record.Name != "" {
		t.Fatal(record, next, err)
	}
	all = append(all, record)
	again, next, err := join(all, req("http://d:1"), now.Add(time.Hour))
	if err != nil || next != nil || again.NodeId != record.NodeId {
		t.Errorf("a second try got %v, %v, %v", again, next, err)
	}
	if _, _, err := join(all, req("http://d:1", "http://d:2"), now); err == nil {
		t.Error("took over a member with other URLs")
	}
	added := req("http://e:1")
	added.Added = true
	if _, _, err := join(all, added, now); err == nil || !strings.Contains(err.Error(), "member add") {
		t.Errorf("was not added before: %v", err)
	}
	told := &pontoonpb.JoinRequest{NodeId: record.NodeId, Name: "d", PeerUrls: []string{"http://d:1"}, ClientUrls: []string{"http://d:9"}}
	record, next, err = join(all, told, now)
	if err != nil || next == nil || next.Name != "d" || next.ClientUrls[0] != "http://d:9" {
		t.Fatal(record, next, err)
	}
	all[3] = next
	if record, next, err = join(all, told, now); err != nil || next != nil || record.Name != "d" {
		t.Errorf("told twice: %v, %v, %v", record, next, err)
	}
}

func TestReconfigurationChecks(t *testing.T) {
	all := three()
	if _, err := add(all, []string{"http://d:1"}, false, strict, absent, now); !errors.Is(err, rpctypes.ErrGRPCUnhealthy) {
		t.Error(err)
	}
	if _, err := add(all[:1], []string{"http://d:1"}, false, strict, absent, now); err != nil {
		t.Error("the second member: ", err)
	}
	all[1].Name, all[2].Name = "", ""
	if _, err := add(all, []string{"http://d:1"}, false, strict, there, now); !errors.Is(err, errNotEnoughStarted) {
		t.Error(err)
	}
	if err := mayRemove(all, all[0], true, there); !errors.Is(err, errNotEnoughStarted) {
		t.Error(err)
	}
	if err := mayRemove(three(), all[0], true, absent); !errors.Is(err, rpctypes.ErrGRPCUnhealthy) {
		t.Error(err)
	}
	if err := mayRemove(three(), all[0], false, absent); err != nil {
		t.Error("a dead one: ", err)
	}
	learner := clone(all[0])
	learner.Learner = true
	if err := mayRemove(all, learner, true, absent); err != nil {
		t.Error("a learner: ", err)
	}
}

func TestPromote(t *testing.T) {
	all := three()
	all[2].Learner = true
	if _, err := add(all, []string{"http://d:1"}, true, loose, there, now); !errors.Is(err, rpctypes.ErrGRPCTooManyLearners) {
		t.Error(err)
	}
	if _, err := promote(all, 1, strict, there); !errors.Is(err, rpctypes.ErrGRPCMemberNotLearner) {
		t.Error(err)
	}
	if _, err := promote(all, 9, strict, there); !errors.Is(err, rpctypes.ErrGRPCMemberNotFound) {
		t.Error(err)
	}
	if _, err := promote(all, 3, strict, absent); !errors.Is(err, rpctypes.ErrGRPCLearnerNotReady) {
		t.Error(err)
	}
	if r, err := promote(all, 3, strict, there); err != nil || r.Learner || !all[2].Learner {
		t.Error(r, err)
	}
}

// M4: a node is needed where the live others are no quorum, in each of the two
// configurations that a range is between.
func TestM4Orphan(t *testing.T) {
	const (
		v   = pontoonpb.ReplicaRole_REPLICA_VOTER
		l   = pontoonpb.ReplicaRole_REPLICA_LEARNER
		in  = pontoonpb.ReplicaRole_REPLICA_INCOMING
		out = pontoonpb.ReplicaRole_REPLICA_OUTGOING
	)
	desc := func(roles ...pontoonpb.ReplicaRole) []*pontoonpb.Descriptor {
		d := &pontoonpb.Descriptor{RangeId: 1}
		for i, role := range roles {
			d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: uint64(i + 1), Role: role})
		}
		return []*pontoonpb.Descriptor{d}
	}
	for name, tc := range map[string]struct {
		ranges []*pontoonpb.Descriptor
		dead   proto.NodeID
		needed bool
	}{
		"one of three":               {desc(v, v, v), 0, false},
		"one of three, another dead": {desc(v, v, v), 2, true},
		"one of two":                 {desc(v, v), 0, true},
		"the only one":               {desc(v), 0, true},
		"a learner":                  {desc(l, v, v), 0, false},
		"learners do not count":      {desc(v, v, l), 0, true},
		"joint, both have a quorum":  {desc(v, v, v, in, out), 0, false},
		"joint, the old has none":    {desc(v, v, out, in, in), 2, true},
	} {
		live := func(id proto.NodeID) bool { return id != tc.dead }
		if got := orphan(tc.ranges, 1, live) != nil; got != tc.needed {
			t.Errorf("%s: needed %v", name, got)
		}
	}
	if orphan(desc(v, v), 7, absent) != nil {
		t.Error("a node without a replica is needed")
	}
}
