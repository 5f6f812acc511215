package greedy

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
)

const (
	watchConnections = 8
	watchWriters     = 8

	slowWatchRate  = 64 // puts a second that nobody reads of
	slowWatchValue = 64 << 10

	watchersRate = 20 // puts a second that all watchers get
)

// slowWatch watches large values on connections that it does not read.
func (o *Options) slowWatch(ctx context.Context, endpoints []string, t *tally) error {
	prefix, value := o.target("slow-watch"), filler.Text(slowWatchValue)
	wait := watchers(ctx, endpoints, dialStalling, prefix, o.SlowWatchers, t, func(*pb.WatchResponse) {})
	defer wait()
	return o.write(ctx, endpoints, prefix, slowWatchRate, func() string { return value }, t.add)
}

// watchers watches and reads. What is done is an event, as late after its put as
// the value says.
func (o *Options) watchers(ctx context.Context, endpoints []string, t *tally) error {
	prefix := o.target("watchers")
	wait := watchers(ctx, endpoints, nil, prefix, o.Watchers, t, func(resp *pb.WatchResponse) {
		for _, ev := range resp.Events {
			sent, _ := strconv.ParseInt(string(ev.Kv.Value), 10, 64)
			t.add(nil, time.Since(time.Unix(0, sent)))
		}
	})
	defer wait()
	return o.write(ctx, endpoints, prefix, watchersRate, func() string { return strconv.FormatInt(time.Now().UnixNano(), 10) },
		func(err error, took time.Duration) {
			if err != nil {
				t.add(err, took)
			}
		})
}

// watchers keeps n watches of a prefix on a few connections until ctx ends, and
// returns what waits for their end. A stream that ends is counted and opened anew.
func watchers(ctx context.Context, endpoints []string, via dialer, prefix string, n int, t *tally, each func(*pb.WatchResponse)) (wait func()) {
	var wg sync.WaitGroup
	for i := range min(n, watchConnections) {
		mine := (n + i) / min(n, watchConnections) // they add up to n
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if err := watch(ctx, endpoints[i%len(endpoints)], via, prefix, mine, each); ctx.Err() == nil {
					t.add(err, time.Since(began))
					pause(ctx, afterError)
				}
			}
		})
	}
	return wg.Wait
}

// watch makes n watches on one stream and reads it until it ends.
func watch(ctx context.Context, endpoint string, via dialer, prefix string, n int, each func(*pb.WatchResponse)) error {
	conn, err := connect(endpoint, via)
	if err != nil {
		return err
	}
	defer conn.Close()
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before that is awaited
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return err
	}
	asking.Go(func() { create(stream, prefix, n) }) // while their answers are read
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		if resp.Canceled {
			return errors.New(resp.CancelReason)
		}
		each(resp)
	}
}

// create asks for the watches. Why it cannot, Recv tells.
func create(stream grpc.BidiStreamingClient[pb.WatchRequest, pb.WatchResponse], prefix string, n int) {
	one := &pb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix))}
	for range n {
		if stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: one}}) != nil {
			return
		}
	}
}

// write puts to keys of a prefix at a rate until ctx ends.
func (o *Options) write(ctx context.Context, endpoints []string, prefix string, rate int, value func() string, ended func(error, time.Duration)) error {
	pool, err := dial.OpenPool(endpoints, watchWriters)
	if err != nil {
		return err
	}
	defer pool.Close()
	var wg sync.WaitGroup
	began, every := time.Now(), watchWriters*time.Second/time.Duration(rate)
	for i := range watchWriters {
		wg.Go(func() {
			pace(ctx, began.Add(time.Duration(i)*every/watchWriters), every, began.Add(o.Cell), func(int, time.Time) {
				sent := time.Now()
				if _, err := pool.Client(i).Put(ctx, numbered(prefix, i), value()); ctx.Err() == nil {
					ended(err, time.Since(sent))
				}
			})
		})
	}
	wg.Wait()
	return nil
}
