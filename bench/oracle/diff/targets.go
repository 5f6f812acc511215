package diff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

// progressInterval makes both sides send progress notifications during a run.
const progressInterval = 500 * time.Millisecond

// Clusters returns a Start for one node of real etcd and a subject: "pontoon", or
// "etcd" to calibrate the comparison.
func Clusters(subject string, nodes int) Start {
	return func() (o, s Target, stop func() error, err error) {
		oracle, err := cluster.StartEtcd(cluster.Options{ProgressInterval: progressInterval})
		if err != nil {
			return o, s, nil, err
		}
		var other *cluster.Cluster
		options := cluster.Options{Nodes: nodes, ProgressInterval: progressInterval}
		switch subject {
		case "etcd":
			other, err = cluster.StartEtcd(options)
		case "pontoon":
			other, err = cluster.StartPontoon(options)
		default:
			err = fmt.Errorf("diff: unknown subject %q", subject)
		}
		if err != nil {
			return o, s, nil, errors.Join(err, oracle.Close())
		}
		o = Target{Name: "oracle", Endpoints: oracle.Endpoints()}
		s = Target{Name: "subject", Endpoints: other.Endpoints(), SyncFirst: subject == "etcd" && nodes > 1}
		if other.CanSplit() {
			s.Split = func(ctx context.Context, key []byte) error { return other.Split(ctx, key) }
		}
		return o, s, func() error { return errors.Join(other.Close(), oracle.Close()) }, nil
	}
}
