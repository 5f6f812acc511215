package greedy

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
)

const (
	listValue = 8 << 10
	mostLists = 10_000
)

func (o *Options) fillList(ctx context.Context, pool *dial.Pool) error {
	return fill(ctx, pool, o.target("list"), int(o.ListBytes/listValue), filler.Text(listValue))
}

// list asks for everything at once, on a connection per list.
func (o *Options) list(ctx context.Context, endpoints []string, t *tally) error {
	conns := make([]*grpc.ClientConn, o.Lists)
	for i := range conns {
		conn, err := connect(endpoints[i%len(endpoints)], nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns[i] = conn
	}
	repeat(ctx, o.Lists, mostLists, t, func(ctx context.Context, i int) error { return o.listOn(ctx, conns[i]) })
	return nil
}

// slowList asks for the same and does not read the answers. Its clients give up
// and ask anew a few times, so that what was left behind counts too.
func (o *Options) slowList(ctx context.Context, endpoints []string, t *tally) error {
	repeat(ctx, o.Lists, mostLists, t, func(ctx context.Context, i int) error {
		conn, err := connect(endpoints[i%len(endpoints)], dialStalling)
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(ctx, o.Cell/3)
		defer cancel()
		if err = o.listOn(ctx, conn); status.Code(err) == codes.DeadlineExceeded {
			return errUnread
		}
		return err
	})
	return nil
}

// listOn asks once.
func (o *Options) listOn(ctx context.Context, conn *grpc.ClientConn) error {
	prefix, bytes := o.target("list"), 0
	req := &pb.RangeRequest{Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix))}
	if err := conn.Invoke(ctx, pb.KV_Range_FullMethodName, req, &bytes, grpc.ForceCodecV2(sizes{})); err != nil {
		return err
	}
	if int64(bytes) < o.ListBytes/listValue*listValue {
		return fmt.Errorf("a list of %d bytes where %d were put", bytes, o.ListBytes)
	}
	return nil
}
