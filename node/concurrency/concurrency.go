// Package concurrency serves etcd's Lock and Election services over the node's
// own KV, Lease and Watch services.
//
//	Lock, Unlock, Campaign, Observe ... --etcd's servers--> clientv3
//	        clientv3 --function calls, no socket--> KV, Lease, Watch of this node
//
// The services themselves are etcd's own packages; what they mean is decided by
// the recipes in clientv3/concurrency. A call keeps the caller's context, so
// that permissions are those of the caller.
package concurrency

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// keepAliveTimeout bounds the wait for the first answer of a keepalive stream.
const keepAliveTimeout = time.Second

// Services is what the recipes run on.
type Services struct {
	KV    pb.KVServer
	Lease pb.LeaseServer
	Watch pb.WatchServer
}

// Register registers both services. The returned function ends the streams
// they hold.
func (s Services) Register(r grpc.ServiceRegistrar) (stop func()) {
	c := clientv3.NewCtxClient(context.Background())
	c.KV = clientv3.NewKVFromKVClient(adapter.KvServerToKvClient(s.KV), c)
	c.Lease = clientv3.NewLeaseFromLeaseClient(adapter.LeaseServerToLeaseClient(s.Lease), c, keepAliveTimeout)
	c.Watcher = watcher{clientv3.NewWatchFromWatchClient(adapter.WatchServerToWatchClient(s.Watch), c)}
	v3lockpb.RegisterLockServer(r, v3lock.NewLockServer(c))
	v3electionpb.RegisterElectionServer(r, v3election.NewElectionServer(c))
	return func() { _ = c.Close() } // says only that its context ended
}

// watcher keeps callers apart. clientv3 shares one stream among the contexts
// with equal outgoing metadata, and the stream's permissions are those of the
// context that opened it: the caller's own metadata becomes the outgoing one.
type watcher struct{ clientv3.Watcher }

func (w watcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	return w.Watcher.Watch(ctx, key, opts...)
}
