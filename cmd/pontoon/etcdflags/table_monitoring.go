package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/cmd/pontoon/logging"
	"github.com/pontoon-kv/pontoon/node/config"
)

var monitoring = []Flag{
	{Name: "enable-pprof", Usage: "Serve /debug/pprof/ on the client URLs.", Make: boolean(field(func(c *config.Config) *bool { return &c.EnablePprof }))},
	{Name: "metrics", Usage: "basic, or extensive: histograms of gRPC, too.", Why: "another word is refused, where etcd takes basic", Make: text(field(func(c *config.Config) *string { return &c.Metrics }))},
	{Name: "listen-metrics-urls", Usage: "URLs to listen on for /metrics, /health, /livez and /readyz alone.", Make: anyURLs(field(func(c *config.Config) *[]string { return &c.ListenMetricsURLs }))},
}

func logOption[T any](at func(*logging.Options) *T) func(*Settings) *T {
	return func(s *Settings) *T { return at(&s.Log) }
}

var logs = []Flag{
	{Name: "logger", Usage: "zap.", Make: text(logOption(func(o *logging.Options) *string { return &o.Logger }))},
	{
		Name: "log-outputs", Usage: "default, stderr, stdout or files.", Make: list(logOption(func(o *logging.Options) *[]string { return &o.Outputs })),
		Why: "systemd/journal is refused: systemd passes stderr on to the journal",
	},
	{Name: "log-level", Usage: "debug, info, warn, error, panic or fatal.", Make: text(logOption(func(o *logging.Options) *string { return &o.Level }))},
	{Name: "log-format", Usage: "json or console.", Make: text(logOption(func(o *logging.Options) *string { return &o.Format })), Why: "a console line is made of key=value"},
	{Name: "enable-log-rotation", Usage: "Rotate the one file of --log-outputs.", Make: boolean(logOption(func(o *logging.Options) *bool { return &o.Rotate }))},
	{Name: "log-rotation-config-json", Usage: "How it is rotated.", Make: text(logOption(func(o *logging.Options) *string { return &o.Rotation }))},
	{Name: "warning-unary-request-duration", Usage: "Time after which a request is logged as slow.", Make: duration(field(func(c *config.Config) *time.Duration { return &c.SlowRequest }))},
}

var tracing = []Flag{
	{Name: "enable-distributed-tracing", Usage: "Send spans to a collector.", Make: boolean(func(s *Settings) *bool { return &s.Tracing })},
	{Name: "distributed-tracing-address", Usage: "Of the OTLP gRPC collector.", Make: text(func(s *Settings) *string { return &s.endpoint })},
	{Name: "distributed-tracing-service-name", Usage: "Name of the service in spans.", Make: text(field(func(c *config.Config) *string { return &c.Tracing.Service }))},
	{
		Name: "distributed-tracing-instance-id", Usage: "Id of this member in spans.", Make: text(field(func(c *config.Config) *string { return &c.Tracing.Instance })),
		Why: "the member's name if not set",
	},
	{Name: "distributed-tracing-sampling-rate", Usage: "How many of a million traces to keep.", Make: number(field(func(c *config.Config) *int { return &c.Tracing.PerMillion }))},
}
