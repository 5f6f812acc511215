package diff

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// serviceOps are locks and elections, and what of maintenance needs root. Every name
// of a lock or an election belongs to one lease, so whoever asks gets it at once or is
// refused: nothing ever waits.
func (g *Generator) serviceOps() []weightedOp {
	return []weightedOp{
		{10, g.lock}, {8, g.unlock}, {10, g.campaign}, {6, g.proclaim}, {6, g.leader}, {5, g.resign}, {4, g.maintain},
	}
}

// ownLease is one whose id is the same on both sides, for it is part of a key.
func (g *Generator) ownLease() int64 { return 1 + g.rnd.Int64N(chosenLeases) }

// ownName is the name that belongs to a lease; some lie where users may write.
func (g *Generator) ownName(kind string, lease int64) []byte {
	return fmt.Appendf(nil, "%s%s%d", []string{"k/", "zone-"}[lease%2], kind, lease)
}

func (g *Generator) lock() Op {
	lease := g.ownLease()
	return g.op("lock", &lockpb.LockRequest{Name: g.ownName("lock", lease), Lease: lease})
}

func (g *Generator) unlock() Op {
	lease := g.ownLease()
	key := fmt.Appendf(nil, "%s/%x", g.ownName("lock", lease), lease)
	if g.chance(5) {
		key = nil
	}
	return g.op("unlock", &lockpb.UnlockRequest{Key: key})
}

func (g *Generator) campaign() Op {
	lease := g.ownLease()
	return g.op(KindCampaign, &electionpb.CampaignRequest{Name: g.ownName("vote", lease), Lease: lease, Value: []byte{'v', '0' + byte(g.rnd.IntN(4))}})
}

// leaderKey names an election; the runner completes it (nameLeader). Rarely there is
// none. It always has a lease: for none, etcd grants one of its own choice, which no
// answer names and which stays for a minute.
func (g *Generator) leaderKey() *electionpb.LeaderKey {
	if g.chance(5) {
		return nil
	}
	lease := g.ownLease()
	return &electionpb.LeaderKey{Name: g.ownName("vote", lease), Lease: lease}
}

func (g *Generator) proclaim() Op {
	return g.op("proclaim", &electionpb.ProclaimRequest{Leader: g.leaderKey(), Value: []byte{'p', '0' + byte(g.rnd.IntN(4))}})
}

func (g *Generator) leader() Op {
	return g.op("leader", &electionpb.LeaderRequest{Name: g.ownName("vote", g.ownLease())})
}

func (g *Generator) resign() Op {
	return g.op("resign", &electionpb.ResignRequest{Leader: g.leaderKey()})
}

func (g *Generator) maintain() Op {
	switch g.rnd.IntN(6) {
	case 0:
		return g.op("member_status", &pb.StatusRequest{})
	case 1:
		return g.op("member_hashkv", &pb.HashKVRequest{})
	case 2:
		return g.op("member_hash", &pb.HashRequest{})
	case 3:
		return g.op("member_defragment", &pb.DefragmentRequest{})
	}
	return g.op("alarm", &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
}
