package members

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// hearsay is a house whose members are heard of from a moment on.
type hearsay struct {
	*house
	from time.Time
}

func (h hearsay) Live(proto.NodeID) bool { return !time.Now().Before(h.from) }

// A learner that is there and not heard of yet is waited for; one that is not
// there is refused in the end, and what no waiting changes is refused at once.
func TestPromoteWaitsForNews(t *testing.T) {
	for name, tc := range map[string]struct {
		id    proto.NodeID
		after time.Duration // until the learner is heard of
		took  time.Duration
		want  error
	}{
		"heard of":        {3, 0, 0, nil},
		"heard of soon":   {3, time.Second, time.Second, nil},
		"not heard of":    {3, time.Hour, promoteWait, rpctypes.ErrGRPCLearnerNotReady},
		"no learner":      {1, time.Hour, 0, rpctypes.ErrGRPCMemberNotLearner},
		"no member":       {9, time.Hour, 0, rpctypes.ErrGRPCMemberNotFound},
		"client gives up": {3, time.Hour, 500 * time.Millisecond, rpctypes.ErrGRPCLearnerNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hearsay{&house{records: three()}, time.Now().Add(tc.after)}
				learner := clone(h.records[2])
				learner.Learner = true
				h.records[2] = learner
				log := slog.New(slog.DiscardHandler)
				cache := NewCache(CacheOptions{Logger: log, OnChange: func([]*pontoonpb.NodeRecord) {}}, h.records)
				m := New(Options{Cache: cache, Records: h, Ranges: h, Observer: h, Logger: log})
				ctx, start := t.Context(), time.Now()
				if name == "client gives up" {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.took)
					defer cancel()
				}
				err := m.Promote(ctx, tc.id)
				if took := time.Since(start); !errors.Is(err, tc.want) || took != tc.took {
					t.Errorf("%v after %v", err, took)
				}
				if promoted := !Find(h.records, 3).Learner; promoted != (tc.want == nil) {
					t.Errorf("promoted %t", promoted)
				}
			})
		})
	}
}
