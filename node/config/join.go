package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// checkJoin refuses addresses and places that cannot be meant.
func (c *Config) checkJoin() error {
	for i, to := range c.Join {
		// A peer URL is what the operator has at hand.
		if u, err := url.Parse(to); err == nil && u.Host != "" {
			to = u.Host
		}
		if _, _, err := net.SplitHostPort(to); err != nil {
			return fmt.Errorf("--join: %q is not HOST:PORT", c.Join[i])
		}
		c.Join[i] = to
	}
	if len(c.Join) > 0 && c.InitialCluster != "" {
		return errors.New("--join and --initial-cluster exclude each other: a node that joins is told who the others are")
	}
	_, err := c.Tiers()
	return err
}

// errManyWays is etcd's text.
var errManyWays = errors.New("multiple discovery or bootstrap flags are set. " +
	`Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"`)

// checkDiscovery refuses two ways to find the members.
func (c *Config) checkDiscovery() error {
	ways := 0
	for _, given := range []bool{c.InitialCluster != "", c.Discovery.Wanted(), c.SRV.Wanted()} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return errManyWays
	}
	if ways > 0 && len(c.Join) > 0 {
		return errors.New("--join and --discovery-endpoints or --discovery-srv exclude each other: a node that joins is told who the others are")
	}
	return c.Discovery.Check()
}

// Tiers returns the locality by its parts.
func (c *Config) Tiers() ([]*pontoonpb.LocalityTier, error) {
	var tiers []*pontoonpb.LocalityTier
	seen := map[string]bool{}
	for part := range strings.SplitSeq(c.Locality, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok || key == "" || value == "" {
			return nil, fmt.Errorf("--locality: %q is not KEY=VALUE", part)
		}
		if seen[key] {
			return nil, fmt.Errorf("--locality: %s is given twice", key)
		}
		seen[key] = true
		tiers = append(tiers, &pontoonpb.LocalityTier{Key: key, Value: value})
	}
	return tiers, nil
}
