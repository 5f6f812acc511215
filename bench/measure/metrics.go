package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Syncs are the counters of /metrics that count calls of fsync: of the log and,
// in etcd, of the commits of its backend. Pontoon has one log for everything;
// its backend has no syncs of its own.
var Syncs = map[string][]string{
	"etcd":    {"etcd_disk_wal_fsync_duration_seconds_count", "etcd_disk_backend_commit_duration_seconds_count"},
	"pontoon": {"etcd_disk_wal_fsync_duration_seconds_count"},
}

const allocated = "go_memstats_alloc_bytes_total"

var scraper = &http.Client{Timeout: 5 * time.Second}

// Scrape returns the sum over all labels of each named metric of the node at a client
// address. A metric that it does not have is an error.
func Scrape(ctx context.Context, endpoint string, names []string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+endpoint+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := scraper.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of %s: %s", endpoint, resp.Status)
	}
	return sums(resp.Body, names)
}

// sums reads the text format of Prometheus. A name that does not occur is an
// error: a renamed metric must not become a zero.
func sums(r io.Reader, names []string) (map[string]float64, error) {
	out := map[string]float64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		for _, name := range names {
			rest, found := strings.CutPrefix(line, name)
			if !found || rest == "" || rest[0] != ' ' && rest[0] != '{' {
				continue
			}
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", name, err)
			}
			out[name] += v
		}
	}
	for _, name := range names {
		if _, found := out[name]; !found {
			return nil, fmt.Errorf("no metric %s", name)
		}
	}
	return out, lines.Err()
}
