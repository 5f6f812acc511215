package metrics

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

// maxVersions bounds what clients may call themselves (I2).
const maxVersions = 32

// versions counts requests by the API version that clients say they have.
type versions struct {
	vec   *prometheus.CounterVec
	known atomic.Pointer[map[string]*versionCounts] // copied when it grows

	mu sync.Mutex // held while it grows
}

type versionCounts struct{ unary, stream prometheus.Counter }

func newVersions() *versions {
	v := &versions{vec: counters("etcd_server_client_requests_total", "type", "client_api_version")}
	v.known.Store(&map[string]*versionCounts{})
	return v
}

func (v *versions) unary(ctx context.Context)  { v.of(ctx).unary.Inc() }
func (v *versions) stream(ctx context.Context) { v.of(ctx).stream.Inc() }

func (v *versions) of(ctx context.Context) *versionCounts {
	name := "unknown"
	if said := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataClientAPIVersionKey); len(said) > 0 {
		name = said[0]
	}
	if c := (*v.known.Load())[name]; c != nil {
		return c
	}
	return v.learn(name)
}

func (v *versions) learn(name string) *versionCounts {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := *v.known.Load()
	if len(known) >= maxVersions || !utf8.ValidString(name) {
		name = "other"
	}
	if c := known[name]; c != nil {
		return c
	}
	c := &versionCounts{v.vec.WithLabelValues("unary", name), v.vec.WithLabelValues("stream", name)}
	grown := maps.Clone(known)
	grown[name] = c
	v.known.Store(&grown)
	return c
}
