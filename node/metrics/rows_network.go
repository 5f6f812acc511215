package metrics

import (
	dto "github.com/prometheus/client_model/go"
)

// perNode is what the labels To and From of etcd become.
func perNode(label string) map[string]string { return map[string]string{"node": label, "to": label} }

const rare = "etcd shows it once a raft snapshot was sent as a whole; see pontoon_raft_snapshots_sent_total and _received_total"

// networkRows are etcd_network_* and etcd_grpc_proxy_*.
var networkRows = []Row{
	{Name: "etcd_network_active_peers", Type: Gauge, State: Real, Help: "The current number of active peer connections.", Note: "there once there is another member, as in etcd", read: activePeers},
	{Name: "etcd_network_client_grpc_received_bytes_total", Type: Counter, State: Real, Help: "The total number of bytes received from grpc clients.", Note: "of messages, as in etcd"},
	{Name: "etcd_network_client_grpc_sent_bytes_total", Type: Counter, State: Real, Help: "The total number of bytes sent to grpc clients.", Note: "of messages, as in etcd"},
	{Name: "etcd_network_disconnected_peers_total", Type: Counter, State: Real, Help: "The total number of disconnected peers.", Note: "there once there is another member", read: disconnects},
	{Name: "etcd_network_known_peers", Type: Gauge, State: Real, Help: "The current number of known peers.", read: knownPeers},
	{Name: "etcd_network_peer_received_bytes_total", Type: Counter, State: Real, Help: "The total number of bytes received from peers.",
		Note: "on the wire, all that passes between two nodes", read: ours("pontoon_peer_received_bytes_total", perNode("From"))},
	{Name: "etcd_network_peer_received_failures_total", Type: Counter, State: Absent, Help: "The total number of receive failures from peers.", Note: "the sender counts a broken stream"},
	{Name: "etcd_network_peer_round_trip_time_seconds", Type: Histogram, State: Real, Help: "Round-Trip-Time histogram between peers",
		Note: "of gossip's probes", read: ours("pontoon_peer_round_trip_seconds", perNode("To"))},
	{Name: "etcd_network_peer_sent_bytes_total", Type: Counter, State: Real, Help: "The total number of bytes sent to peers.",
		Note: "on the wire, all that passes between two nodes", read: ours("pontoon_peer_sent_bytes_total", perNode("To"))},
	{Name: "etcd_network_peer_sent_failures_total", Type: Counter, State: Real, Help: "The total number of send failures from peers.",
		Note: "there once there was one, as in etcd", read: ours("pontoon_raft_send_failures_total", perNode("To"))},
	{Name: "etcd_network_server_stream_failures_total", Type: Counter, State: Real, Help: "The total number of stream failures from the local server.",
		Note: "streams of Watch and LeaseKeepAlive that ended with an error"},
	{Name: "etcd_network_snapshot_receive_failures", Type: Counter, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_receive_inflights_total", Type: Gauge, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_receive_success", Type: Counter, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_receive_total_duration_seconds", Type: Histogram, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_send_failures", Type: Counter, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_send_inflights_total", Type: Gauge, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_send_success", Type: Counter, State: Absent, Note: rare},
	{Name: "etcd_network_snapshot_send_total_duration_seconds", Type: Histogram, State: Absent, Note: rare},
	{Name: "etcd_grpc_proxy_cache_hits_total", Type: Gauge, State: Zero, Help: "Total number of cache hits", Note: noProxy, read: zero},
	{Name: "etcd_grpc_proxy_cache_keys_total", Type: Gauge, State: Zero, Help: "Total number of keys/ranges cached", Note: noProxy, read: zero},
	{Name: "etcd_grpc_proxy_cache_misses_total", Type: Gauge, State: Zero, Help: "Total number of cache misses", Note: noProxy, read: zero},
	{Name: "etcd_grpc_proxy_events_coalescing_total", Type: Counter, State: Zero, Help: "Total number of events coalescing", Note: noProxy, read: zero},
	{Name: "etcd_grpc_proxy_watchers_coalescing_total", Type: Gauge, State: Zero, Help: "Total number of current watchers coalescing", Note: noProxy, read: zero},
}

const noProxy = "of the gRPC proxy, zero in an etcd server too"

func knownPeers(s *scrape) (list []*dto.Metric) {
	for _, p := range s.facts.Peers {
		list = append(list, between(s, p.ID, 1))
	}
	return list
}

func activePeers(s *scrape) (list []*dto.Metric) {
	for _, p := range s.facts.Peers {
		if p.ID == s.facts.ID {
			continue
		}
		v := 0.0
		if p.Up {
			v = 1
		}
		list = append(list, between(s, p.ID, v))
	}
	return list
}

// disconnects is of the members there are: who left is forgotten.
func disconnects(s *scrape) (list []*dto.Metric) {
	for _, m := range s.own["pontoon_peer_disconnects_total"].GetMetric() {
		c := &dto.Metric{Counter: m.Counter, Label: labels("Local", hex(s.facts.ID), "Remote", m.Label[0].GetValue())}
		list = append(list, c)
	}
	return list
}

func between(s *scrape, remote uint64, v float64) *dto.Metric {
	return &dto.Metric{Label: labels("Local", hex(s.facts.ID), "Remote", hex(remote)), Untyped: &dto.Untyped{Value: &v}}
}

// otherRows are what etcd shows beside its own names. go_* and process_* come
// from the same collectors as etcd's.
var otherRows = []Row{
	{Name: "grpc_server_handled_total", Type: Counter, State: Real, Help: "Total number of RPCs completed on the server, regardless of success or failure."},
	{Name: "grpc_server_handling_seconds", Type: Histogram, State: Real, Help: "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.", Note: "under --metrics=extensive, as in etcd"},
	{Name: "grpc_server_msg_received_total", Type: Counter, State: Real, Help: "Total number of RPC stream messages received on the server."},
	{Name: "grpc_server_msg_sent_total", Type: Counter, State: Real, Help: "Total number of gRPC stream messages sent by the server."},
	{Name: "grpc_server_started_total", Type: Counter, State: Real, Help: "Total number of RPCs started on the server."},
	{Name: "os_fd_limit", Type: Gauge, State: Real, Help: "The file descriptor limit.", read: sum("process_max_fds")},
	{Name: "os_fd_used", Type: Gauge, State: Real, Help: "The number of used file descriptors.", read: sum("process_open_fds")},
	{Name: "promhttp_metric_handler_requests_in_flight", Type: Gauge, State: Real, Help: "Current number of scrapes being served."},
	{Name: "promhttp_metric_handler_requests_total", Type: Counter, State: Real, Help: "Total number of scrapes by HTTP status code."},
}
