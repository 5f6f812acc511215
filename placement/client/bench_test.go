package client_test

import (
	"context"
	"testing"

	"github.com/pontoon-kv/pontoon/placement/client"
)

// How many callers share a message decides what a caller costs.
func benchmarkReads(b *testing.B, node int) {
	c := start(b, 2, nil)
	c.elect(1)
	n := c.nodes[c.ids[node]]
	b.SetParallelism(256)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := n.client.ReadRevision(context.Background()); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkReadLocal(b *testing.B)  { benchmarkReads(b, 0) }
func BenchmarkReadRemote(b *testing.B) { benchmarkReads(b, 1) }

func benchmarkAsks(b *testing.B, node int) {
	c := start(b, 2, nil)
	c.elect(1)
	n := c.nodes[c.ids[node]]
	b.SetParallelism(256)
	b.RunParallel(func(p *testing.PB) {
		got := make(chan error, 1)
		done := func(_ client.Grant, err error) { got <- err }
		for p.Next() {
			n.client.Ask(1, done)
			if err := <-got; err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAskLocal(b *testing.B)  { benchmarkAsks(b, 0) }
func BenchmarkAskRemote(b *testing.B) { benchmarkAsks(b, 1) }

// One caller at a time: the latency of the path.
func BenchmarkReadLocalAlone(b *testing.B) {
	c := start(b, 1, nil)
	c.elect(1)
	n := c.nodes[1]
	for b.Loop() {
		if _, err := n.client.ReadRevision(context.Background()); err != nil {
			b.Error(err)
		}
	}
}
