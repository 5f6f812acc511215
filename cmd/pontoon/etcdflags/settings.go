package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/cmd/pontoon/logging"
	"github.com/pontoon-kv/pontoon/node/config"
)

// Settings are what flags, environment or file say.
type Settings struct {
	Node config.Config
	Log  logging.Options

	Gates   Gates
	Tracing bool // --enable-distributed-tracing

	endpoint         string // of the collector, if Tracing
	compactHashCheck time.Duration
	fallback         string
}

// Etcd returns etcd's defaults.
func Etcd() *Settings {
	s := Pontoon()
	s.Node.EnablePprof = false
	s.Node.Tracing.PerMillion = 0
	s.Node.Tracing.Service = "etcd"
	s.Node.TLSVersions.Min = "TLS1.2"
	s.Node.WatchProgressNotifyInterval = 0
	return s
}

// Pontoon returns the defaults of `pontoon start`.
func Pontoon() *Settings {
	return &Settings{
		Node: config.Default(), Log: logging.Defaults(),
		endpoint: "localhost:4317", compactHashCheck: time.Minute, fallback: "exit",
	}
}

// field is the place of a node's setting.
func field[T any](at func(*config.Config) *T) func(*Settings) *T {
	return func(s *Settings) *T { return at(&s.Node) }
}
