package cluster

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// oracleQuota keeps a long run with large values far from the NOSPACE alarm.
const oracleQuota = 8 << 30

// bcryptCost is the least: what is tested is who gets in, not how slowly.
const bcryptCost = 4

// StartEtcd starts real etcd in this process. It does not sync its disk: the
// differential test compares answers, and never crashes the oracle.
func StartEtcd(o Options) (*Cluster, error) {
	return start("etcd", o, func(c *Cluster, l layout, o Options) error {
		servers := make([]*embed.Etcd, 0, o.Nodes)
		for i := range o.Nodes {
			cfg, err := etcdConfig(l, i, o)
			if err != nil {
				return err
			}
			e, err := embed.StartEtcd(cfg)
			if err != nil {
				return err
			}
			servers = append(servers, e)
			c.stop = append(c.stop, func() error { e.Close(); return nil })
		}
		for _, e := range servers {
			select {
			case <-e.Server.ReadyNotify():
			case err := <-e.Err():
				return err
			case <-time.After(o.ReadyTimeout):
				return fmt.Errorf("etcd not ready after %s", o.ReadyTimeout)
			}
		}
		for _, ep := range l.clients {
			if err := waitReady(ep, o.ReadyTimeout, func() error { return nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

func etcdConfig(l layout, i int, o Options) (*embed.Config, error) {
	cfg := embed.NewConfig()
	cfg.Name = l.names[i]
	cfg.Dir = filepath.Join(l.dir, l.names[i])
	client, err := url.Parse("http://" + l.clients[i])
	if err != nil {
		return nil, err
	}
	peer, err := url.Parse("http://" + l.peers[i])
	if err != nil {
		return nil, err
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster = l.initialCluster()
	cfg.InitialClusterToken = filepath.Base(l.dir)
	cfg.UnsafeNoFsync = true
	cfg.BcryptCost = bcryptCost
	cfg.QuotaBackendBytes = oracleQuota
	if o.ElectionTimeout > 0 {
		cfg.ElectionMs, cfg.TickMs = uint(o.ElectionTimeout.Milliseconds()), uint(o.heartbeat().Milliseconds())
	}
	if o.ProgressInterval > 0 {
		cfg.WatchProgressNotifyInterval = o.ProgressInterval
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(lastWords())
	return cfg, nil
}

// lastWords logs nothing but why etcd ends the process: its Fatal exits even where
// the logger discards everything, and that would look like a run that vanished.
func lastWords() *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	core := zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zapcore.PanicLevel)
	return zap.New(core, zap.AddCaller(), zap.AddStacktrace(zapcore.PanicLevel))
}
