package diff

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// electionExtends is what a new leader adds to every lease, in seconds.
const electionExtends = int64(electionTimeout / time.Second)

// leaseTerm is what the runner knows of the leadership over the subject's leases.
type leaseTerm struct {
	term uint64
	// changed is when it was found changed last; zero if never.
	changed time.Time
}

// learnLeaseTerm notes changes of the leadership over leases.
func (r *Runner) learnLeaseTerm(ctx context.Context) error {
	if r.subject.Ranges == nil {
		return nil
	}
	term, err := r.subject.Ranges.LeaseTerm(ctx)
	if err != nil {
		return err
	}
	if r.leases.term != 0 && term != r.leases.term {
		r.leases.changed = time.Now()
	}
	r.leases.term = term
	return nil
}

// alignExtended takes a longer rest of a lease on the subject for the oracle's if the
// leadership over leases changed there: a new leader cannot know which keepalives the
// old one answered, so it starts every lease again, as etcd's does. The rest is then
// at most what such a start leaves.
func (r *Runner) alignExtended(ctx context.Context, oracle, subject answer) {
	o, ok := oracle.msg.(*pb.LeaseTimeToLiveResponse)
	if !ok || !oracle.ok() || !subject.ok() || oracle.note+subject.note != "" {
		return
	}
	s := subject.msg.(*pb.LeaseTimeToLiveResponse)
	if o.TTL <= 0 || s.TTL <= o.TTL || r.learnLeaseTerm(ctx) != nil || r.leases.changed.IsZero() {
		return
	}
	since := int64(time.Since(r.leases.changed) / time.Second)
	if s.TTL <= o.GrantedTTL+electionExtends-since+ttlSlack {
		s.TTL = o.TTL
		r.progress.LeasesExtended.Add(1)
	}
}
