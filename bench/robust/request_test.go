package robust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// I3: only what etcd defines as a refusal counts as not done.
func TestRefusal(t *testing.T) {
	for err, want := range map[error]bool{
		rpctypes.ErrLeaseNotFound:                    true,
		rpctypes.ErrCompacted:                        true,
		rpctypes.ErrEmptyKey:                         true,
		rpctypes.ErrTimeout:                          false,
		rpctypes.ErrLeaderChanged:                    false,
		rpctypes.ErrNoLeader:                         false,
		context.DeadlineExceeded:                     false,
		context.Canceled:                             false,
		status.Error(codes.Unavailable, "gone"):      false,
		status.Error(codes.Unknown, "who knows"):     false,
		status.Error(codes.NotFound, "no"):           true,
		io.EOF:                                       false,
		fmt.Errorf("get: %w", rpctypes.ErrCompacted): true,
		errors.New("other"):                          false,
	} {
		if refusal(err) != want {
			t.Errorf("%v: refusal %v", err, !want)
		}
	}
}

func testClient(seed uint64) *client {
	rng := rand.New(rand.NewPCG(seed, 0))
	return &client{
		rng: rng, keys: 16, base: 5, newest: 40, serial: &serial{round: 1, client: 2},
		known: map[string]verify.KV{}, lease: &leaseUser{rng: rng, id: 7},
	}
}

// I1, I2: requests repeat with the seed, values never do, and no txn writes a
// key twice, which etcd refuses.
func TestRequestsAreValid(t *testing.T) {
	a, b := testClient(3), testClient(3)
	values := map[string]bool{}
	kinds := map[string]int{}
	for range 5000 {
		req := a.request()
		if again := b.request(); fmt.Sprint(req) != fmt.Sprint(again) {
			t.Fatalf("%v and %v from one seed", req, again)
		}
		for _, branch := range [][]verify.Op{req.Then, req.Else} {
			written := map[string]bool{}
			for _, op := range branch {
				kinds[string(op.Kind)]++
				if op.Kind == verify.OpPut && values[op.Value] {
					t.Fatalf("value %s twice", op.Value)
				}
				if op.Kind == verify.OpPut {
					values[op.Value] = true
				}
				if op.Kind != verify.OpGet && written[op.Key] {
					t.Fatalf("%q written twice in %v", op.Key, req)
				}
				written[op.Key] = op.Kind != verify.OpGet
				if op.At != 0 && op.At < a.base {
					t.Fatalf("read at %d, below the base", op.At)
				}
			}
		}
		if len(req.If) > 0 {
			kinds["conditional"]++
		}
		if readOnly(req) {
			kinds["read only"]++
		}
	}
	for _, kind := range []string{"get", "put", "delete", "conditional", "read only"} {
		if kinds[kind] < 200 {
			t.Errorf("%d of kind %s", kinds[kind], kind)
		}
	}
}

func TestSplitKeysCutTheSpan(t *testing.T) {
	keys := splitKeys(16, 8)
	if len(keys) != 8 || !slices.IsSorted(keys) || keys[0] != keyName(0) || keys[7] != keyName(14) {
		t.Error(keys)
	}
}

func TestOptions(t *testing.T) {
	var o Options
	if err := o.complete(); err != nil || o.Seed == 0 || o.Duration != time.Minute {
		t.Errorf("%+v %v", o, err)
	}
	for _, bad := range []Options{{Keys: 1}, {Keys: 200}, {Keys: 4, Ranges: 5}, {Clients: -1}, {Rate: -1}, {Duration: -1}} {
		if bad.complete() == nil {
			t.Errorf("%+v accepted", bad)
		}
	}
}

// A broken promise makes the run fail and names the seed.
func TestReportNamesTheSeed(t *testing.T) {
	r := Report{Seed: 42, Kinds: map[string]int{}}
	r.add(&RoundReport{Faults: map[string]int{"kill": 2}})
	if r.Err() != nil || r.Faults != 2 || r.Kinds["kill"] != 2 {
		t.Error(r)
	}
	bad := &RoundReport{Round: 1}
	bad.Violations = []verify.Violation{{Check: "watch", Detail: "gap"}}
	r.add(bad)
	if err := r.Err(); err == nil || r.Violations != 1 {
		t.Error(err, r)
	}
}
