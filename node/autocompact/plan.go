package autocompact

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// Modes of compaction.
const (
	Periodic = "periodic"
	Revision = "revision"
)

// Plan decides. Tick is called every Interval, with the newest revision known.
type Plan interface {
	Interval() time.Duration
	// Tick returns the revision to compact at, 0 for none. Where this node does
	// not lead it only takes notice.
	Tick(now time.Time, newest proto.Revision, leading bool) proto.Revision
	// Compacted tells that it was done.
	Compacted(now time.Time, rev proto.Revision)
}

// New returns the plan of a mode and a retention as etcd's flags spell them;
// nil: the history is kept.
func New(mode, retention string) (Plan, error) {
	n, err := strconv.Atoi(retention)
	number := err == nil && n >= 0
	switch {
	case mode == Periodic && number:
		return period(time.Duration(n) * time.Hour), nil
	case mode == Periodic:
		d, err := time.ParseDuration(retention)
		if err != nil {
			return nil, fmt.Errorf("error parsing CompactionRetention: %w", err)
		}
		if d < 0 {
			return nil, fmt.Errorf("--auto-compaction-retention=%s must not be negative", retention)
		}
		return period(d), nil
	case mode == Revision && number:
		if n == 0 {
			return nil, nil
		}
		return &revisions{keep: proto.Revision(n)}, nil
	case mode == Revision:
		return nil, fmt.Errorf("--auto-compaction-retention=%s must be a number of revisions", retention)
	case mode == "":
		return nil, errors.New("undefined auto-compaction-mode")
	}
	return nil, fmt.Errorf("unknown auto-compaction-mode %q", mode)
}

func period(d time.Duration) Plan {
	if d <= 0 {
		return nil
	}
	return &periodic{period: d, wait: d}
}

const (
	longestPeriod = time.Hour // between two compactions
	samples       = 10        // of the revision in that time
	revisionTick  = 5 * time.Minute
)

// periodic keeps what was written within the last period. The first compaction
// comes after one period, others at least every hour.
type periodic struct {
	period time.Duration
	revs   []proto.Revision // sampled, oldest first; once there are enough the first is a period and a sample old
	wait   time.Duration    // between two compactions
	last   time.Time        // of the last one, or of the first sample
	done   proto.Revision
}

// Interval implements Plan.
func (p *periodic) Interval() time.Duration { return min(p.period, longestPeriod) / samples }

// Tick implements Plan.
func (p *periodic) Tick(now time.Time, newest proto.Revision, leading bool) (rev proto.Revision) {
	if p.last.IsZero() {
		p.last = now
	}
	if leading && len(p.revs) > 0 && now.Sub(p.last) >= p.wait && p.revs[0] != p.done {
		rev = p.revs[0]
		p.wait = min(p.period, longestPeriod)
	}
	p.revs = append(p.revs, newest)
	if keep := int(p.period/p.Interval()) + 1; len(p.revs) > keep {
		p.revs = p.revs[1:]
	}
	return rev
}

// Compacted implements Plan.
func (p *periodic) Compacted(now time.Time, rev proto.Revision) { p.done, p.last = rev, now }

// revisions keeps the newest ones.
type revisions struct {
	keep, done proto.Revision
}

// Interval implements Plan.
func (r *revisions) Interval() time.Duration { return revisionTick }

// Tick implements Plan.
func (r *revisions) Tick(_ time.Time, newest proto.Revision, leading bool) proto.Revision {
	if rev := newest - r.keep; leading && rev > 0 && rev != r.done {
		return rev
	}
	return 0
}

// Compacted implements Plan.
func (r *revisions) Compacted(_ time.Time, rev proto.Revision) { r.done = rev }
