package diff

import (
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// chosenLeases is how many lease ids the generator chooses from.
	chosenLeases = 6
	// expiringLease is the first of the ids of leases that are let expire.
	expiringLease = 500
	// longTTL keeps leases from expiring during a run.
	longTTL = 100_000
	// maxTTL is the largest TTL that etcd grants.
	maxTTL = 9_000_000_000
)

// leaseID is the id for a grant; 0 lets the server pick.
func (g *Generator) leaseID() int64 {
	switch n := g.rnd.IntN(20); {
	case n < 5:
		return 0
	case n < 6:
		return -7
	case n < 7:
		return math.MaxInt64
	}
	return 1 + g.rnd.Int64N(chosenLeases)
}

// leaseRef is the id of a lease that may exist.
func (g *Generator) leaseRef() int64 {
	switch n := g.rnd.IntN(40); {
	case n < 1:
		return 0
	case n < 2:
		return -7
	case n < 3:
		return math.MaxInt64
	case n < 4:
		return 999 // never granted
	case n < 14 && g.symbols > 0:
		return Lease(max(0, g.symbols-1-g.rnd.IntN(20)))
	case n < 28:
		return 1 // so that some lease has many keys
	}
	return 1 + g.rnd.Int64N(chosenLeases)
}

func (g *Generator) grant() Op {
	o := g.op(KindGrant, &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: longTTL + g.rnd.Int64N(1000)})
	o.N = g.symbols
	g.symbols++
	return o
}

// flash grants with a TTL at or beyond the limits.
func (g *Generator) flash() Op {
	ttls := []int64{0, -7, 1, 2, 3, maxTTL, maxTTL + 1, math.MaxInt64, math.MinInt64}
	o := g.op(KindFlash, &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: ttls[g.rnd.IntN(len(ttls))]})
	o.N = g.symbols
	g.symbols++
	return o
}

func (g *Generator) revoke() Op {
	return g.op(KindRevoke, &pb.LeaseRevokeRequest{ID: g.leaseRef()})
}

func (g *Generator) keepAlive() Op {
	return g.op(KindKeepAlive, &pb.LeaseKeepAliveRequest{ID: g.leaseRef()})
}

func (g *Generator) ttl() Op {
	return g.op(KindTTL, &pb.LeaseTimeToLiveRequest{ID: g.leaseRef(), Keys: g.chance(80)})
}

func (g *Generator) leases() Op { return g.op(KindLeases, &pb.LeaseLeasesRequest{}) }
