package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/node/config"
	nodediscovery "github.com/pontoon-kv/pontoon/node/discovery"
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

// noV2Discovery is why a cluster is not found in that way.
const noV2Discovery = "there is no v2 discovery service: give --discovery-token and --discovery-endpoints, or --initial-cluster"

// found is the place of a setting of the discovery service.
func found[T any](at func(*nodediscovery.Options) *T) func(*Settings) *T {
	return field(func(c *config.Config) *T { return at(&c.Discovery) })
}

var discovery = []Flag{
	{Name: "discovery", Class: Refused, Why: noV2Discovery, Usage: "URL of a v2 discovery service.", Make: unused(text, "")},
	{Name: "discovery-token", Key: inService + "token", Usage: "Token of the new cluster at the discovery service.", Make: text(found(func(o *nodediscovery.Options) *string { return &o.Token }))},
	{Name: "discovery-endpoints", Key: inClient + "endpoints", Usage: "gRPC endpoints of the discovery service.", Make: list(found(func(o *nodediscovery.Options) *[]string { return &o.Endpoints }))},
	{Name: "discovery-dial-timeout", Key: inClient + "dial-timeout", Usage: "Of a connection to the discovery service.", Make: duration(found(func(o *nodediscovery.Options) *time.Duration { return &o.DialTimeout }))},
	{Name: "discovery-request-timeout", Key: inClient + "request-timeout", Usage: "Of a request to the discovery service.", Make: duration(found(func(o *nodediscovery.Options) *time.Duration { return &o.RequestTimeout }))},
	{Name: "discovery-keepalive-time", Key: inClient + "keepalive-time", Usage: "Between two pings of the discovery service.", Make: duration(found(func(o *nodediscovery.Options) *time.Duration { return &o.KeepaliveTime }))},
	{Name: "discovery-keepalive-timeout", Key: inClient + "keepalive-timeout", Usage: "Of a ping of the discovery service.", Make: duration(found(func(o *nodediscovery.Options) *time.Duration { return &o.KeepaliveTimeout }))},
	{Name: "discovery-insecure-transport", Key: inClient + "secure.insecure-transport", Usage: "Speak to the discovery service without TLS.", Make: boolean(found(func(o *nodediscovery.Options) *bool { return &o.InsecureTransport }))},
	{Name: "discovery-insecure-skip-tls-verify", Key: inClient + "secure.insecure-skip-tls-verify", Usage: "Take any certificate of the discovery service.", Make: boolean(found(func(o *nodediscovery.Options) *bool { return &o.InsecureSkipVerify }))},
	{Name: "discovery-cert", Key: inClient + "secure.cert", Usage: "Certificate file for the discovery service.", Make: text(found(func(o *nodediscovery.Options) *string { return &o.CertFile }))},
	{Name: "discovery-key", Key: inClient + "secure.key", Usage: "Key file for the discovery service.", Make: text(found(func(o *nodediscovery.Options) *string { return &o.KeyFile }))},
	{Name: "discovery-cacert", Key: inClient + "secure.cacert", Usage: "CA file of the discovery service.", Make: text(found(func(o *nodediscovery.Options) *string { return &o.CAFile }))},
	{Name: "discovery-user", Key: inClient + "auth.username", Usage: "User of the discovery service.", Make: text(found(func(o *nodediscovery.Options) *string { return &o.Username }))},
	{Name: "discovery-password", Key: inClient + "auth.password", Usage: "Password of that user.", Make: text(found(func(o *nodediscovery.Options) *string { return &o.Password }))},
	{Name: "discovery-fallback", NoKey: true, Class: Ignored, Why: "a node that finds no cluster ends", Usage: "What to do when discovery fails.", Make: oneOf("exit", "proxy")(func(s *Settings) *string { return &s.fallback })},
	{Name: "discovery-proxy", Class: Refused, Why: noV2Discovery, Usage: "Proxy on the way to a v2 discovery service.", Make: unused(text, "")},
	{Name: "discovery-srv", Usage: "DNS domain whose SRV records name the members.", Why: "a peer's certificate has the name of its host, also where no CA of peers is given and etcd looks for the domain's", Make: text(field(func(c *config.Config) *string { return &c.SRV.Domain }))},
	{Name: "discovery-srv-name", Usage: "Suffix of the SRV service.", Make: text(field(func(c *config.Config) *string { return &c.SRV.Name }))},
}

// Where a configuration file says it.
const (
	inService = "discovery-config."
	inClient  = inService + "client."
)
