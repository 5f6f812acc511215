package diff

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Target is one of the two systems that a run compares.
type Target struct {
	// Name is for messages.
	Name string
	// Endpoints are the client addresses (host:port); each is a gateway.
	Endpoints []string
	// Ranges steers the target's ranges; nil if it has none.
	Ranges Ranges
	// Logs returns the end of what the target has logged; may be nil.
	Logs func() string
	// SyncFirst makes a linearizable read through the same gateway precede every
	// operation that etcd answers from a member's own state. It is for etcd with
	// several members as the subject: there such answers may lag.
	SyncFirst bool
}

// side is the connection to one target in one run.
type side struct {
	Target
	conns   []*grpc.ClientConn
	streams map[int]*stream // by Op.N

	mu       sync.Mutex
	toReal   map[int64]int64 // lease symbols to the ids this side picked
	toSymbol map[int64]int64 // and back
	tokens   map[string]string
}

func dial(t Target) (*side, error) {
	s := &side{Target: t, streams: map[int]*stream{}, toReal: map[int64]int64{}, toSymbol: map[int64]int64{}, tokens: map[string]string{}}
	for _, ep := range t.Endpoints {
		conn, err := grpc.NewClient("passthrough:///"+ep,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(
				grpc.MaxCallRecvMsgSize(math.MaxInt32),
				grpc.MaxCallSendMsgSize(math.MaxInt32)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("diff: dial %s: %w", ep, err), s.close())
		}
		s.conns = append(s.conns, conn)
	}
	return s, nil
}

func (s *side) close() error {
	var errs []error
	for _, st := range s.streams {
		st.close()
	}
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (s *side) conn(gateway int) *grpc.ClientConn { return s.conns[gateway%len(s.conns)] }

// bindLease remembers the id that this side picked for a symbol.
func (s *side) bindLease(symbol, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toReal[symbol], s.toSymbol[id] = id, symbol
}

// realLease is the id on this side of what may be a symbol.
func (s *side) realLease(id int64) int64 { return s.lookup(s.toReal, id) }

// symbolOf is the symbol of an id that this side picked.
func (s *side) symbolOf(id int64) int64 { return s.lookup(s.toSymbol, id) }

func (s *side) lookup(m map[int64]int64, id int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := m[id]; ok {
		return v
	}
	return id
}

// hasBoundLeases reports whether messages need their leases mapped at all.
func (s *side) hasBoundLeases() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.toReal) > 0
}

// catchUp reads linearizably through a gateway, after which an etcd member's own
// state is current.
func (s *side) catchUp(ctx context.Context, gateway int) error {
	if !s.SyncFirst {
		return nil
	}
	_, err := pb.NewKVClient(s.conn(gateway)).Range(ctx, &pb.RangeRequest{Key: []byte{0}})
	return err
}
