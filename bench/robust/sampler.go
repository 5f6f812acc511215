package robust

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/measure"
	"github.com/pontoon-kv/pontoon/bench/proc"
)

// sampleEvery is how often what the nodes take is looked at.
const sampleEvery = 5 * time.Second

// Sample is what one node took at one moment.
type Sample struct {
	Seconds    float64 `json:"seconds"` // since the sampler started
	Node       string  `json:"node"`
	Memory     int64   `json:"memory"` // resident bytes
	Goroutines int64   `json:"goroutines"`
	Files      int64   `json:"files"` // open
	Disk       int64   `json:"disk"`  // bytes of the data directory
}

// sampler looks at the nodes from time to time.
type sampler struct {
	c       *cluster.Cluster
	began   time.Time
	cancel  context.CancelFunc
	looking sync.WaitGroup
	samples []Sample // of the looking goroutine until it has ended
}

func startSampler(ctx context.Context, c *cluster.Cluster) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{c: c, began: time.Now(), cancel: cancel}
	s.looking.Go(func() {
		for ctx.Err() == nil {
			for _, n := range c.Nodes() {
				// A node that is down, or goes down meanwhile, has no sample.
				if one, err := s.sample(ctx, n); err == nil {
					s.samples = append(s.samples, one)
				}
			}
			wait(ctx, sampleEvery)
		}
	})
	return s
}

// stop ends it and returns what it saw. It may be called twice.
func (s *sampler) stop() *Level {
	s.cancel()
	s.looking.Wait()
	return &Level{Samples: s.samples}
}

const goroutines = "go_goroutines"

func (s *sampler) sample(ctx context.Context, n *cluster.Node) (Sample, error) {
	pid := n.Pid()
	p, err := proc.Read(pid)
	if err != nil {
		return Sample{}, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return Sample{}, err
	}
	metrics, err := measure.Scrape(ctx, n.Endpoint, []string{goroutines})
	if err != nil {
		return Sample{}, err
	}
	disk, err := measure.DiskSize([]string{n.Dir})
	return Sample{
		Seconds: time.Since(s.began).Seconds(), Node: n.Name,
		Memory: p.Resident, Goroutines: int64(metrics[goroutines]), Files: int64(len(files)), Disk: disk,
	}, err
}
