package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3discovery"
	"go.uber.org/zap"
)

// Options say which service is asked, and how.
type Options struct {
	Token     string   // of the cluster to be
	Endpoints []string // of the service; empty: no service is asked

	DialTimeout, RequestTimeout     time.Duration
	KeepaliveTime, KeepaliveTimeout time.Duration

	InsecureTransport  bool // has no effect on https endpoints
	InsecureSkipVerify bool // any certificate of the service will do
	CertFile, KeyFile  string
	CAFile             string
	Username, Password string
}

// Defaults are etcd's.
func Defaults() Options {
	return Options{
		DialTimeout: 2 * time.Second, RequestTimeout: 5 * time.Second,
		KeepaliveTime: 2 * time.Second, KeepaliveTimeout: 6 * time.Second, InsecureTransport: true,
	}
}

// Wanted says whether a service is to be asked.
func (o *Options) Wanted() bool { return len(o.Endpoints) > 0 }

// Check refuses half a configuration, with etcd's texts.
func (o *Options) Check() error {
	if (o.Token != "") != o.Wanted() {
		return errors.New("both --discovery-token and --discovery-endpoints must be set")
	}
	for _, ep := range o.Endpoints {
		if strings.TrimSpace(ep) == "" {
			return errors.New("--discovery-endpoints must not contain empty endpoints")
		}
	}
	return nil
}

// Join registers a member, name=url,name=url, under its id, and returns all of them in
// the same form once they are complete. It tries until ctx ends; what etcd's package
// still has in hand then ends with the process.
func (o *Options) Join(ctx context.Context, id uint64, member string, log *slog.Logger) (string, error) {
	type answer struct {
		cluster string
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		cluster, err := v3discovery.JoinCluster(zap.New(core{log: log}), o.config(), types.ID(id), member)
		done <- answer{cluster, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return "", fmt.Errorf("failed to join discovery cluster (%w)", a.err)
		}
		return a.cluster, nil
	case <-ctx.Done():
		return "", fmt.Errorf("failed to join discovery cluster (%w)", context.Cause(ctx))
	}
}

func (o *Options) config() *v3discovery.DiscoveryConfig {
	return &v3discovery.DiscoveryConfig{
		Token: o.Token,
		ConfigSpec: clientv3.ConfigSpec{
			Endpoints: o.Endpoints, DialTimeout: o.DialTimeout, RequestTimeout: o.RequestTimeout,
			KeepAliveTime: o.KeepaliveTime, KeepAliveTimeout: o.KeepaliveTimeout,
			Secure: &clientv3.SecureConfig{
				Cert: o.CertFile, Key: o.KeyFile, Cacert: o.CAFile,
				InsecureTransport: o.InsecureTransport, InsecureSkipVerify: o.InsecureSkipVerify,
			},
			Auth: &clientv3.AuthConfig{Username: o.Username, Password: o.Password},
		},
	}
}
