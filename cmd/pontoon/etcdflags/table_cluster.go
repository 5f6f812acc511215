package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/node/config"
)

var clustering = []Flag{
	{Name: "initial-advertise-peer-urls", Usage: "This member's peer URLs as the others reach them.", Make: anyURLs(field(func(c *config.Config) *[]string { return &c.AdvertisePeerURLs }))},
	{Name: "initial-cluster", Usage: "All members of a new cluster: NAME=URL,NAME=URL.", Make: text(field(func(c *config.Config) *string { return &c.InitialCluster }))},
	{Name: "initial-cluster-state", Usage: "new or existing; a restart ignores it.", Make: oneOf("new", "existing")(field(func(c *config.Config) *string { return &c.InitialClusterState }))},
	{Name: "initial-cluster-token", Usage: "Tells clusters apart that are built from the same URLs.", Make: text(field(func(c *config.Config) *string { return &c.InitialClusterToken }))},
	{Name: "advertise-client-urls", Usage: "URLs that clients are told to use.", Make: anyURLs(field(func(c *config.Config) *[]string { return &c.AdvertiseClientURLs }))},
	{Name: "strict-reconfig-check", Usage: "Refuse membership changes that would endanger the quorum.", Make: boolean(field(func(c *config.Config) *bool { return &c.StrictReconfigCheck }))},
	{Name: "pre-vote", Class: Ignored, Why: "pre-vote is always on", Usage: "Raft's pre-vote.", Make: unused(boolean, true)},
	{Name: "auto-compaction-retention", Usage: "How much history automatic compaction keeps; 0: it is off.", Make: text(field(func(c *config.Config) *string { return &c.AutoCompactionRetention }))},
	{Name: "auto-compaction-mode", Usage: "periodic (retention is hours, or a duration) or revision (a number of revisions).", Make: text(field(func(c *config.Config) *string { return &c.AutoCompactionMode }))},
	{
		Name: "v2-deprecation", Class: Ignored, Why: "there is no v2 store", Usage: "Phase of the deprecation of the v2 store.",
		Make: unused(oneOf("write-only", "write-only-skip-check", "write-only-drop-data", "gone"), "write-only"),
	},
	{Name: "max-learners", Usage: "Most learner members at a time.", Make: number(field(func(c *config.Config) *uint { return &c.MaxLearners }))},
}

// noDiscovery is why a cluster is not found by a service.
const noDiscovery = "no discovery service is asked: give --initial-cluster, or --join with the address of a member"

var discovery = []Flag{
	{Name: "discovery", Class: Refused, Why: noDiscovery, Usage: "URL of a v2 discovery service.", Make: unused(text, "")},
	{Name: "discovery-token", Key: "discovery-config.discovery-token", Class: Refused, Why: noDiscovery, Usage: "Token of the cluster at the discovery service.", Make: text(func(s *Settings) *string { return &s.discoveryToken })},
	{Name: "discovery-endpoints", Key: "discovery-config.endpoints", Class: Refused, Why: noDiscovery, Usage: "Endpoints of the discovery service.", Make: list(func(s *Settings) *[]string { return &s.discoveryAt })},
	{Name: "discovery-dial-timeout", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(duration, 2*time.Second)},
	{Name: "discovery-request-timeout", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(duration, 5*time.Second)},
	{Name: "discovery-keepalive-time", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(duration, 2*time.Second)},
	{Name: "discovery-keepalive-timeout", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(duration, 6*time.Second)},
	{Name: "discovery-insecure-transport", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(boolean, true)},
	{Name: "discovery-insecure-skip-tls-verify", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(boolean, false)},
	{Name: "discovery-cert", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(text, "")},
	{Name: "discovery-key", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(text, "")},
	{Name: "discovery-cacert", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(text, "")},
	{Name: "discovery-user", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(text, "")},
	{Name: "discovery-password", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "Of the discovery service.", Make: unused(text, "")},
	{Name: "discovery-fallback", NoKey: true, Class: Ignored, Why: noDiscovery, Usage: "What to do when discovery fails.", Make: oneOf("exit", "proxy")(func(s *Settings) *string { return &s.fallback })},
	{Name: "discovery-proxy", Class: Refused, Why: noDiscovery, Usage: "Proxy on the way to the discovery service.", Make: unused(text, "")},
	{Name: "discovery-srv", Class: Refused, Why: noDiscovery, Usage: "DNS domain whose SRV records name the members.", Make: unused(text, "")},
	{Name: "discovery-srv-name", Class: Refused, Why: noDiscovery, Usage: "Suffix of the SRV service.", Make: unused(text, "")},
}
