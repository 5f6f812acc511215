package config

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultIsComplete(t *testing.T) {
	c := Default()
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "default.pontoon" || c.InitialCluster != "default=http://localhost:2380" {
		t.Fatalf("%+v", c)
	}
	if c.RequestTimeout() != 7*time.Second {
		t.Fatal(c.RequestTimeout())
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no advertise":   {func(c *Config) { c.ListenClientURLs = []string{"http://127.0.0.1:1"} }, "--advertise-client-urls is required"},
		"state":          {func(c *Config) { c.InitialClusterState = "old" }, `unexpected clusterState "old"`},
		"election":       {func(c *Config) { c.ElectionTimeout = 400 * time.Millisecond }, "at least as 5 times"},
		"long election":  {func(c *Config) { c.ElectionTimeout = time.Hour }, "too long"},
		"heartbeat":      {func(c *Config) { c.HeartbeatInterval = 0 }, "--heartbeat-interval must be >0"},
		"scheme":         {func(c *Config) { c.ListenPeerURLs = []string{"ftp://localhost:1"} }, "scheme must be http"},
		"a scheme":       {func(c *Config) { c.ListenPeerURLs = []string{"ftp://localhost:1"} }, "URL scheme must be http, https, unix, or unixs"},
		"no port":        {func(c *Config) { c.ListenPeerURLs = []string{"http://localhost"} }, "host:port"},
		"name to bind":   {func(c *Config) { c.ListenPeerURLs = []string{"http://example.com:1"} }, "expected IP"},
		"request bytes":  {func(c *Config) { c.MaxRequestBytes = 0 }, "--max-request-bytes"},
		"txn ops":        {func(c *Config) { c.MaxTxnOps = 0 }, "--max-txn-ops"},
		"compaction":     {func(c *Config) { c.AutoCompactionMode = "often" }, `unknown auto-compaction-mode "often"`},
		"no mode":        {func(c *Config) { c.AutoCompactionMode = "" }, "undefined auto-compaction-mode"},
		"retention":      {func(c *Config) { c.AutoCompactionRetention = "-1" }, "error parsing CompactionRetention"},
		"sampling":       {func(c *Config) { c.Tracing.PerMillion = -1 }, "sampling rate must be positive"},
		"oversampling":   {func(c *Config) { c.Tracing.PerMillion = 1_000_001 }, "sampling rate must be less"},
		"one port twice": {func(c *Config) { c.ListenClientHTTPURLs = []string{"https://localhost:2379"} }, "cannot bind both"},
		"no host":        {func(c *Config) { c.ListenMetricsURLs = []string{"http://:1"} }, "--listen-metrics-urls: expected IP"},
		"join where":     {func(c *Config) { c.Join = []string{"there"} }, "not HOST:PORT"},
		"join and found": {func(c *Config) { c.Join, c.InitialCluster = []string{"a:1"}, "a=http://a:1" }, "exclude each other"},
		"two ways": {func(c *Config) {
			c.Discovery.Endpoints, c.Discovery.Token, c.InitialCluster = []string{"a:1"}, "t", "a=http://a:1"
		}, "multiple discovery or bootstrap flags are set"},
		"asked and found": {func(c *Config) { c.SRV.Domain, c.InitialCluster = "example.com", "a=http://a:1" }, "multiple discovery or bootstrap flags are set"},
		"no token":        {func(c *Config) { c.Discovery.Endpoints = []string{"a:1"} }, "both --discovery-token and --discovery-endpoints"},
		"join and ask": {func(c *Config) {
			c.Discovery.Endpoints, c.Discovery.Token, c.Join = []string{"a:1"}, "t", []string{"a:1"}
		}, "exclude each other"},
		"locality":       {func(c *Config) { c.Locality = "zone" }, "not KEY=VALUE"},
		"two zones":      {func(c *Config) { c.Locality = "zone=a,zone=b" }, "given twice"},
		"empty name":     {func(c *Config) { c.Name = "" }, "--name"},
		"no listen URLs": {func(c *Config) { c.ListenPeerURLs = nil; c.AdvertisePeerURLs = []string{DefaultPeerURL} }, "--listen-peer-urls"},
	} {
		c := Default()
		tc.change(&c)
		if err := c.Complete(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A complete configuration stays what it is.
// A node that does not say where the others reach it: as in etcd, one that was added is
// known by what MemberAdd was told.
func TestOwnPeerURLs(t *testing.T) {
	const listen = "http://127.0.0.1:7"
	for _, tc := range []struct {
		initial, state string
		want           string
	}{
		{"", "new", listen},
		{"a=http://h:1,me=http://h:2", "new", DefaultPeerURL},
		{"a=http://h:1,me=http://h:2, me=http://h:3", "existing", "http://h:2 http://h:3"},
		{"a=http://h:1", "existing", DefaultPeerURL},
	} {
		c := Default()
		c.Name, c.ListenPeerURLs, c.InitialCluster, c.InitialClusterState = "me", []string{listen}, tc.initial, tc.state
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.AdvertisePeerURLs, " "); got != tc.want {
			t.Errorf("%q %s: %s, want %s", tc.initial, tc.state, got, tc.want)
		}
	}
}

func TestCompleteTwice(t *testing.T) {
	c := Default()
	c.Discovery.Token, c.Discovery.Endpoints = "t", []string{"a:1"}
	for range 2 {
		if err := c.Complete(); err != nil || c.InitialCluster != "" {
			t.Fatal(c.InitialCluster, err)
		}
	}
}

func TestJoinAndLocality(t *testing.T) {
	c := Default()
	c.Join = []string{"http://10.0.0.1:2380", "b:2380"}
	c.Locality = "region=eu, zone=a"
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	tiers, err := c.Tiers()
	if err != nil || len(tiers) != 2 || tiers[1].Key != "zone" || tiers[1].Value != "a" {
		t.Error(tiers, err)
	}
	if c.Join[0] != "10.0.0.1:2380" || c.InitialCluster != "" {
		t.Errorf("%+v", c)
	}
}

// A progress interval that is too short is raised, as in etcd; 0 is the
// default.
func TestProgressIntervals(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: DefaultProgressNotify, time.Millisecond: minProgressNotify, time.Second: time.Second} {
		c := Default()
		c.WatchProgressNotifyInterval = given
		if err := c.Complete(); err != nil || c.WatchProgressNotifyInterval != want {
			t.Errorf("%v: %v, %v", given, c.WatchProgressNotifyInterval, err)
		}
	}
}
