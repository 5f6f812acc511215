package scaleout

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// profile begins to profile the CPU of every node over the measured time, if
// that is wanted. The function returned waits for the files.
func (r *run) profile(ctx context.Context, s size, name string, nodes []*cluster.Node) (wait func() error) {
	if r.o.Profiles == "" || s.kind != cluster.Pontoon {
		return func() error { return nil }
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error {
			select {
			case <-time.After(r.o.Warmup):
			case <-ctx.Done():
				return ctx.Err()
			}
			seconds := max(1, int(r.o.Cell.Seconds()))
			url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", n.Endpoint, seconds)
			return fetch(ctx, url, filepath.Join(r.o.Profiles, name+"-"+n.Name+".pb.gz"), r.o.Cell+requestLimit)
		})
	}
	return g.Wait
}

func fetch(ctx context.Context, url, file string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
