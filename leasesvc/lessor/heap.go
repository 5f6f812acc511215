package lessor

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// due is a heap of leases by the time at which they are looked at next.
type due []*lease

func (d due) Len() int           { return len(d) }
func (d due) Less(i, j int) bool { return d[i].check.Before(d[j].check) }
func (d due) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}

func (d *due) Push(x any) {
	l := x.(*lease)
	l.at = len(*d)
	*d = append(*d, l)
}

func (d *due) Pop() any {
	old := *d
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	l.at = -1
	return l
}

// lease is one lease in memory.
type lease struct {
	record      *pontoonpb.LeaseRecord // as applied last; not changed
	id          int64
	ttl         time.Duration
	remaining   time.Duration // as checkpointed; 0: full
	incarnation uint64
	expiry      time.Time
	check       time.Time // when Due looks at it: expiry, or the retry of a revocation
	at          int       // position in the heap
	renewals    uint64
	revoking    int       // revocations begun whose outcome is not applied
	checkpoint  time.Time // of the last checkpoint, or of the last full TTL
}
