package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

func (c *Config) completeURLs() error {
	if len(c.AdvertiseClientURLs) == 0 {
		if len(c.ListenClientURLs) != 1 || c.ListenClientURLs[0] != DefaultClientURL {
			return errors.New("--advertise-client-urls is required when --listen-client-urls is set explicitly")
		}
		c.AdvertiseClientURLs = c.ListenClientURLs
	}
	if len(c.AdvertisePeerURLs) == 0 {
		c.AdvertisePeerURLs = c.ownPeerURLs()
	}
	for _, set := range []struct {
		flag           string
		urls           []string
		listen, needed bool
	}{
		{"--listen-client-urls", c.ListenClientURLs, true, true},
		{"--listen-client-http-urls", c.ListenClientHTTPURLs, true, false},
		{"--listen-metrics-urls", c.ListenMetricsURLs, true, false},
		{"--listen-peer-urls", c.ListenPeerURLs, true, true},
		{"--advertise-client-urls", c.AdvertiseClientURLs, false, true},
		{"--initial-advertise-peer-urls", c.AdvertisePeerURLs, false, true},
	} {
		if len(set.urls) == 0 && set.needed {
			return fmt.Errorf("%s must not be empty", set.flag)
		}
		for _, u := range set.urls {
			if err := checkURL(u, set.listen); err != nil {
				return fmt.Errorf("%s: %w", set.flag, err)
			}
		}
	}
	return c.listenOnce()
}

// ownPeerURLs are what the others know this node by if it does not say. A member that
// was added is known by what MemberAdd was told, and --initial-cluster has it.
func (c *Config) ownPeerURLs() (own []string) {
	switch {
	case c.InitialCluster == "":
		return c.ListenPeerURLs
	case c.InitialClusterState == "existing":
		for part := range strings.SplitSeq(c.InitialCluster, ",") {
			if name, u, ok := strings.Cut(strings.TrimSpace(part), "="); ok && name == c.Name {
				own = append(own, u)
			}
		}
	}
	if len(own) == 0 {
		own = []string{DefaultPeerURL}
	}
	return own
}

func checkURL(raw string, listen bool) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "http", "https":
	case "unix", "unixs":
		return nil
	default:
		return fmt.Errorf("URL scheme must be http, https, unix, or unixs: %s", raw)
	}
	host, _, err := net.SplitHostPort(u.Host)
	if err != nil {
		return fmt.Errorf(`%q: URL address does not have the form "host:port"`, raw)
	}
	if u.Path != "" {
		return fmt.Errorf("%q: URL must not contain a path", raw)
	}
	if listen && host != "localhost" && net.ParseIP(host) == nil {
		return fmt.Errorf("expected IP in URL for binding (%s)", raw)
	}
	return nil
}

// listenOnce refuses a client address that is to serve gRPC and HTTP apart.
func (c *Config) listenOnce() error {
	for _, u := range c.ListenClientHTTPURLs {
		_, addr, _ := strings.Cut(u, "://")
		for _, other := range c.ListenClientURLs {
			if _, at, _ := strings.Cut(other, "://"); at == addr {
				return fmt.Errorf("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url %s", u)
			}
		}
	}
	return nil
}

func initialCluster(name string, urls []string) string {
	parts := make([]string, len(urls))
	for i, u := range urls {
		parts[i] = name + "=" + u
	}
	return strings.Join(parts, ",")
}
