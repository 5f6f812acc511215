package node

import (
	"cmp"
	"context"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/tracing"
)

func openTracing(ctx context.Context, cfg *config.Config) (*tracing.Tracer, error) {
	t := cfg.Tracing
	return tracing.Open(ctx, tracing.Options{
		Endpoint: t.Endpoint, Service: t.Service, Instance: cmp.Or(t.Instance, cfg.Name), Sampled: t.Sampled(),
	})
}
