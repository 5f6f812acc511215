package diff

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

// progressInterval makes both sides send progress notifications during a run.
const progressInterval = 500 * time.Millisecond

// electionTimeout of both sides is long, since an election that nobody asked for
// leaves numbers unused (P10): a busy machine is not what a run is about.
const electionTimeout = 3 * time.Second

// Clusters returns a Start for one node of real etcd and a subject: "pontoon", or
// "etcd" to calibrate the comparison.
func Clusters(subject string, nodes int) Start {
	return func() (o, s Target, stop func() error, err error) {
		var (
			oracle, other       *cluster.Cluster
			oracleErr, otherErr error
			wg                  sync.WaitGroup
		)
		wg.Go(func() {
			oracle, oracleErr = cluster.StartEtcd(cluster.Options{ProgressInterval: progressInterval, ElectionTimeout: electionTimeout})
		})
		other, otherErr = startSubject(subject, cluster.Options{Nodes: nodes, ProgressInterval: progressInterval, ElectionTimeout: electionTimeout})
		wg.Wait()
		if err := errors.Join(oracleErr, otherErr); err != nil {
			return o, s, nil, errors.Join(err, closeAll(oracle, other))
		}
		o = Target{Name: "oracle", Endpoints: oracle.Endpoints()}
		s = Target{Name: "subject", Endpoints: other.Endpoints(), SyncFirst: subject == "etcd" && nodes > 1}
		if ranges := other.Ranges(); ranges != nil {
			s.Ranges, s.Logs = ranges, other.Logs
		}
		return o, s, func() error { return closeAll(oracle, other) }, nil
	}
}

func startSubject(subject string, o cluster.Options) (*cluster.Cluster, error) {
	switch subject {
	case "etcd":
		return cluster.StartEtcd(o)
	case "pontoon":
		return cluster.StartPontoon(o)
	}
	return nil, fmt.Errorf("diff: unknown subject %q", subject)
}

// closeAll stops the clusters that were started.
func closeAll(clusters ...*cluster.Cluster) error {
	var errs []error
	for _, c := range clusters {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
