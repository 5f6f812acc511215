package suite

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/workload"
)

// profile runs a workload once more and takes, of every node, a CPU profile of
// the window and the allocations of it.
func (o *Options) profile(ctx context.Context, st *stage, w *workload.Workload, system string) error {
	if st.cluster == nil {
		return fmt.Errorf("nodes elsewhere are not profiled")
	}
	base := filepath.Join(o.ProfileDir, strings.ReplaceAll(w.Name, "/", "_"))
	if err := os.MkdirAll(o.ProfileDir, 0o755); err != nil {
		return err
	}
	target := *st.target
	target.Meter = &profiler{window: o.Window, st: st, base: base + "." + system}
	_, err := w.Run(ctx, &target)
	return err
}

// profiler takes profiles where a meter would measure.
type profiler struct {
	window time.Duration
	st     *stage
	base   string
	cpu    *errgroup.Group
}

// Start begins a CPU profile of every node, as long as a window.
func (p *profiler) Start(ctx context.Context) error {
	seconds := max(1, int(p.window.Seconds()))
	p.cpu = &errgroup.Group{}
	for _, n := range p.st.cluster.Nodes() {
		p.cpu.Go(func() error {
			return download(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", n.Endpoint, seconds), p.base+"."+n.Name+".cpu.pprof")
		})
	}
	return nil
}

// Stop waits for them and takes the allocations since each node's start: most of
// them are the workload's.
func (p *profiler) Stop(ctx context.Context) error {
	if err := p.cpu.Wait(); err != nil {
		return err
	}
	for _, n := range p.st.cluster.Nodes() {
		if err := download(ctx, "http://"+n.Endpoint+"/debug/pprof/allocs", p.base+"."+n.Name+".allocs.pprof"); err != nil {
			return err
		}
	}
	return nil
}

func download(ctx context.Context, url, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s: %s", url, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return fmt.Errorf("profile: %w", err)
	}
	return f.Close()
}
