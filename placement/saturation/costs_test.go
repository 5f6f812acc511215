//go:build unix

package saturation

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/placement/simulation"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// cpu is what this process has used.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// limits is a root range that applies at once.
type limits struct{ server *sequencer.Server }

func (l *limits) Persist(_ context.Context, _, next proto.Revision) error {
	l.server.Applied(next, epochs)
	return nil
}

type peer struct {
	pontoonpb.UnimplementedPeerServer
	*sequencer.Server
}

func (p peer) Sequence(s pontoonpb.Peer_SequenceServer) error { return p.Server.Sequence(s) }

// measureAsk asks the real server over real streams, two messages at a time, and
// returns the CPU of a message on either side: half of what both take, which do
// the same work.
func measureAsk(t *testing.T, streams int, window time.Duration) time.Duration {
	lim := &limits{}
	lim.server = sequencer.NewServer(sequencer.Options{Limits: lim})
	lim.server.Start()
	defer lim.server.Close()
	lim.server.Gained(1, func(context.Context) error { return nil }, 0, epochs)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pontoonpb.RegisterPeerServer(s, peer{Server: lim.server})
	go s.Serve(l)
	defer s.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answered atomic.Int64
	var ready, wg sync.WaitGroup
	begin, end := make(chan struct{}), make(chan struct{})
	for i := range streams {
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stream, err := pontoonpb.NewPeerClient(conn).Sequence(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ready.Add(1)
		wg.Go(func() {
			ask := func(n uint64) bool {
				err := stream.Send(&pontoonpb.SequenceAsk{Node: uint64(i + 1), Boot: 1, Sequence: n, Count: 8, Epochs: epochs.Wire()})
				return err == nil
			}
			ready.Done()
			<-begin
			for n := uint64(1); ask(n); n++ {
				if n < inFlight {
					continue
				}
				if r, err := stream.Recv(); err != nil || r.First == 0 {
					t.Errorf("%v, %v", r, err)
					return
				}
				answered.Add(1)
				select {
				case <-end:
					return
				default:
				}
			}
		})
	}
	ready.Wait()
	before := cpu(t)
	close(begin)
	time.Sleep(window)
	used, n := cpu(t)-before, answered.Load()
	close(end)
	wg.Wait()
	if n == 0 {
		t.Fatal("nothing was answered")
	}
	return used / time.Duration(2*n)
}

// measureRound returns what a range costs in a round of placement, on the node
// that reports it and on the node that plans.
func measureRound(t *testing.T, nodes, ranges int) (report, planning time.Duration) {
	c := simulation.NewCluster(nodes)
	c.Fill(ranges, 64<<20, func(i int) []uint64 {
		return []uint64{uint64(i%nodes) + 1, uint64((i+1)%nodes) + 1, uint64((i+2)%nodes) + 1}
	})
	replies := make([]*pontoonpb.ReportReply, nodes)
	for i := range replies {
		replies[i] = &pontoonpb.ReportReply{NodeId: uint64(i + 1)}
	}
	for _, r := range c.Ranges {
		st := c.Status(proto.RangeID(r.Status.Desc.RangeId))
		replies[st.LeaderNode-1].Led = append(replies[st.LeaderNode-1].Led, st)
	}
	view := simulation.NewRun(c).View()
	const times = 3
	encoded := make([][]byte, nodes)
	before := cpu(t)
	for range times {
		for i, r := range replies {
			var err error
			if encoded[i], err = gproto.Marshal(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	reported := cpu(t)
	for range times {
		for _, b := range encoded {
			if err := gproto.Unmarshal(b, new(pontoonpb.ReportReply)); err != nil {
				t.Fatal(err)
			}
		}
		plan.Make(view)
	}
	planned := cpu(t)
	each := time.Duration(times * ranges)
	return (reported - before) / each, (planned - reported) / each
}
