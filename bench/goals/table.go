package goals

import "github.com/pontoon-kv/pontoon/bench/result"

// Figures that sections supply.
const (
	RestartTime      = "restart.10M.seconds.ratio"    // to serving, Pontoon / etcd
	RestartResident  = "restart.10M.rss.ratio"        // then
	ScaleOut         = "scaleout.put.9_over_3"        // throughput of 9 capped nodes / of 3
	SequencerPerCore = "sequencer.revisions_per_core" // at 64 asking nodes simulated
)

// Table is all goals: three nodes each unless a name says otherwise.
var Table = []Goal{
	{Title: "put 256 B, 512 and 1000 clients, 16 ranges: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"put/256B/c512", "put/256B/c1000"}, Floor: 1.2, Aim: 2.0},
	{Title: "the same on one node each", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"one-node/put/256B/c512", "one-node/put/256B/c1000"}, Floor: 1.2, Aim: 2.0},
	{Title: "server CPU per put, 512 and 1000 clients", How: Ratio, Metric: result.CPU,
		Workloads: []string{"put/256B/c512", "put/256B/c1000"}, Floor: 0.9, Aim: 0.6},
	{Title: "put p99, 64 clients", How: Ratio, Metric: result.P99, Workloads: []string{"put/256B/c64"}, Floor: 1.0, Aim: 0.7},
	{Title: "put p50, 1 client", How: Ratio, Metric: result.P50, Workloads: []string{"put/256B/c1"}, Floor: 1.3, Aim: 1.0},
	{Title: "linearizable get: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"get/linear/c64", "get/linear/c512"}, Floor: 1.1, Aim: 1.6},
	{Title: "linearizable get: server CPU (1/1.1, 1/1.6)", How: Ratio, Metric: result.CPU,
		Workloads: []string{"get/linear/c64", "get/linear/c512"}, Floor: 0.91, Aim: 0.625},
	{Title: "serializable get: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"get/serial/c64", "get/serial/c512"}, Floor: 1.0, Aim: 1.3},
	{Title: "range of 10,000 keys: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"range/10000/c8"}, Floor: 0.9, Aim: 1.5},
	{Title: "paginated list of 100,000 keys: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"list/100000/c2"}, Floor: 0.9, Aim: 1.5},
	{Title: "CAS txn: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"txn/cas/c64", "txn/cas/c512"}, Floor: 1.2, Aim: 2.0},
	{Title: "Kubernetes mix: throughput", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"kubernetes/c64"}, Floor: 1.2, Aim: 2.0},
	{Title: "watch latency p99, one range", How: Ratio, Metric: result.P99, Workloads: []string{"watch/one-range"}, Floor: 1.2, Aim: 1.0},
	{Title: "watch latency p99, across ranges: more than etcd's by", How: Difference, Metric: result.P99,
		Workloads: []string{"watch/all-ranges"}, Floor: 3, Aim: 1, Unit: " ms"},
	{Title: "events delivered to 1,000 watchers", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"watch/fanout/w1000"}, Floor: 1.0, Aim: 2.0},
	{Title: "lease keepalives", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"lease/keepalive/c64"}, Floor: 1.2, Aim: 3.0},
	{Title: "lease-attached puts", How: Ratio, Metric: result.Throughput, Least: true,
		Workloads: []string{"lease/attach/c64"}, Floor: 1.2, Aim: 3.0},
	{Title: "put p99 while a million revisions are compacted, against itself at rest", How: Self, Metric: result.P99,
		Workloads: []string{"compact/1000000/c64"}, Floor: 1.5, Aim: 1.1},
	{Title: "restart to serving with 10 million keys", How: Figure, Workloads: []string{RestartTime}, Floor: 0.3, Aim: 0.1},
	{Title: "RSS then", How: Figure, Workloads: []string{RestartResident}, Floor: 0.3, Aim: 0.15},
	{Title: "write amplification of puts", How: Ratio, Metric: result.WriteAmp, Stated: true,
		Workloads: []string{"put/256B/c64", "put/256B/c512"}, Aim: 1.0},
	{Title: "scale-out 3 to 9 capped nodes: put throughput", How: Figure, Least: true, Workloads: []string{ScaleOut}, Floor: 2.0, Aim: 2.8, Unit: " x"},
	{Title: "consistent list of Kubernetes, p99, 8 ranges, writes elsewhere: more than etcd's by", How: Difference, Metric: result.P99,
		Workloads: []string{"watch/consistent-list"}, Floor: 10, Aim: 2, Unit: " ms"},
	{Title: "sequencer alone, revisions/s on one core at 64 asking nodes simulated", How: Figure, Least: true,
		Workloads: []string{SequencerPerCore}, Floor: 1e6, Aim: 5e6, Unit: "/s"},
}
