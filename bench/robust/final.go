package robust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/steer"
)

// restLimit bounds how long a cluster may take to be whole again once nobody
// disturbs it.
const restLimit = 2 * time.Minute

// Final is what was found once everything had come to rest.
type Final struct {
	Nodes           int      `json:"nodes"`
	Ranges          int      `json:"ranges"`
	Replicas        int      `json:"replicas"`       // compared by checksum
	SettleSeconds   float64  `json:"settle_seconds"` // until full replication
	Violations      []string `json:"violations"`
	ObjectsVerified int      `json:"objects_verified"` // of the Kubernetes-shaped load
	ValuesVerified  int64    `json:"values_verified"`
}

// rest waits for full replication, then compares all replicas of all ranges.
func rest(ctx context.Context, s *steer.Client, live int) Final {
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	began := time.Now()
	var f Final
	if err := poll(ctx, func() error { return whole(ctx, s, live) }); err != nil {
		f.Violations = append(f.Violations, "replication: "+err.Error())
	}
	f.Nodes, f.SettleSeconds = live, time.Since(began).Seconds()
	ranges, err := s.Ranges(ctx)
	if err != nil {
		f.Violations = append(f.Violations, "list: "+err.Error())
		return f
	}
	f.Ranges = len(ranges)
	for _, r := range ranges {
		var sums []steer.Checksum
		err := poll(ctx, func() error {
			var equal bool
			var err error
			if sums, equal, err = s.Checksums(ctx, r.ID); err != nil || equal {
				return err
			}
			return fmt.Errorf("%+v", sums)
		})
		if err != nil {
			f.Violations = append(f.Violations, fmt.Sprintf("checksums of range %d: %v", r.ID, err))
		}
		f.Replicas += len(sums)
	}
	return f
}

// whole says what is missing until every range has all its replicas on members
// that live, and nothing is going on.
func whole(ctx context.Context, s *steer.Client, live int) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ranges, err := s.Ranges(ctx)
	if err != nil {
		return err
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	alive := map[uint64]bool{}
	for _, n := range nodes {
		if n.State == "live" {
			alive[n.ID] = true
		}
	}
	if len(alive) != live {
		return fmt.Errorf("%d nodes live, want %d: %+v", len(alive), live, nodes)
	}
	var missing []string
	var end []byte
	for i, r := range ranges {
		if i > 0 && string(r.Start) != string(end) {
			missing = append(missing, fmt.Sprintf("nothing between %q and %q", end, r.Start))
		}
		end = r.End
		want := min(3, live)
		if r.Root() && live >= 5 {
			want = 5
		}
		if len(r.Voters) != want || len(r.Learners) > 0 {
			missing = append(missing, fmt.Sprintf("range %d has %d voters and %d others, want %d", r.ID, len(r.Voters), len(r.Learners), want))
		}
		for _, n := range r.Voters {
			if !alive[n] {
				missing = append(missing, fmt.Sprintf("range %d has a replica on %x, which does not live", r.ID, n))
			}
		}
		if !alive[r.Leader] {
			missing = append(missing, fmt.Sprintf("range %d is led by %x", r.ID, r.Leader))
		}
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing[:min(3, len(missing))], "; "))
	}
	return nil
}

// WriteText prints it in a line or two.
func (f *Final) WriteText(w io.Writer) {
	verdict := "ok"
	if len(f.Violations) > 0 {
		verdict = fmt.Sprintf("%d VIOLATIONS", len(f.Violations))
	}
	fmt.Fprintf(w, "at rest: %s; %d nodes, %d ranges, %d replicas compared by checksum, whole after %.1f s; %d objects and %d values verified\n",
		verdict, f.Nodes, f.Ranges, f.Replicas, f.SettleSeconds, f.ObjectsVerified, f.ValuesVerified)
	for _, v := range f.Violations {
		fmt.Fprintf(w, "  %s\n", v)
	}
}
