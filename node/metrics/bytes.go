package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// counted is a codec that counts the bytes of messages, where etcd counts them.
type counted struct {
	encoding.CodecV2
	sent, received prometheus.Counter
}

func newCounted(codec encoding.CodecV2) counted {
	return counted{
		codec,
		counter("etcd_network_client_grpc_sent_bytes_total"), counter("etcd_network_client_grpc_received_bytes_total"),
	}
}

// Marshal implements encoding.CodecV2.
func (c counted) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.CodecV2.Marshal(v)
	c.sent.Add(float64(data.Len()))
	return data, err
}

// Unmarshal implements encoding.CodecV2.
func (c counted) Unmarshal(data mem.BufferSlice, v any) error {
	c.received.Add(float64(data.Len()))
	return c.CodecV2.Unmarshal(data, v)
}
