package greedy

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"
)

// How a request counts.
func TestTally(t *testing.T) {
	var c tally
	c.add(nil, time.Second)
	c.add(rpctypes.ErrTooManyRequests, 0)
	c.add(rpctypes.ErrGRPCRequestTooManyRequests, 0)
	c.add(errUnread, 0)
	c.add(errors.New("first"), 0)
	c.add(context.DeadlineExceeded, 0)
	o := c.outcome(2 * time.Second)
	if o.Done.Count != 1 || o.Done.PerSecond != 0.5 || o.Done.MaxMs != 1000 || o.Refused != 2 || o.Unread != 1 || o.Failed != 2 || o.Failure != "first" || o.asked() != 6 {
		t.Errorf("%+v", o)
	}
}

// I2: one request that is not answered holds up no other, and fails at its limit.
func TestBystanderWaitsForNoOther(t *testing.T) {
	for name, tc := range map[string]struct {
		limit        time.Duration
		done, failed int
	}{
		"answered late": {10 * time.Second, 50, 0},
		"too late":      {time.Second, 49, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &Options{Bystanders: 1, Rate: 10, Ranges: 2, Cell: 5 * time.Second, Limit: tc.limit}
				began := time.Now()
				got := o.stand(t.Context(), func(ctx context.Context, i, n, to int) error {
					if n == 10 {
						time.Sleep(2 * time.Second)
					}
					return ctx.Err()
				})
				if got.Done.Count != tc.done || got.Failed != tc.failed {
					t.Errorf("%+v", got)
				}
				if tc.failed == 0 && (got.SameRange.MaxMs != 2000 || got.OtherRanges.MaxMs != 0 || got.SameRange.Count+got.OtherRanges.Count != 50) {
					t.Errorf("by range: %+v", got)
				}
				if tc.failed == 0 && (got.Done.MaxMs != 2000 || got.Done.P90Ms != 0) {
					t.Errorf("%+v", got)
				}
				if took := time.Since(began); took > o.Cell {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// What became due while one was busy comes at once, and keeps its time.
func TestPaceKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, late := time.Now(), []time.Duration{}
		pace(t.Context(), began, time.Second, began.Add(5*time.Second), func(n int, due time.Time) {
			late = append(late, time.Since(due))
			if n == 0 {
				time.Sleep(2500 * time.Millisecond)
			}
		})
		if want := []time.Duration{0, 1500 * time.Millisecond, 500 * time.Millisecond, 0, 0}; !slices.Equal(late, want) {
			t.Errorf("late by %v, want %v", late, want)
		}
	})
}

// I4: clients stop at the end of time, or when most was sent.
func TestRepeatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		var c tally
		repeat(ctx, 3, 1000, &c, func(ctx context.Context, client int) error {
			if client == 2 {
				return rpctypes.ErrTooManyRequests // costs no time but the pause
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if o := c.outcome(time.Second); o.Refused != 201 || o.Failed != 0 {
			t.Errorf("%+v", o)
		}
		c = tally{}
		repeat(ctx, 3, 0, &c, nil)
		most := tally{}
		repeat(context.Background(), 3, 7, &most, func(context.Context, int) error { return nil })
		if n := most.outcome(time.Second).asked(); n != 7 || c.outcome(time.Second).asked() != 0 {
			t.Errorf("%d of 7 requests", n)
		}
	})
}

// A stalling connection reads what it may, then nothing until it is closed.
func TestStalling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := newStalling(client, 5)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = server.Write([]byte("more than five")) })
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "more " {
			t.Fatalf("%q, %v", got, err)
		}
		ended := make(chan error)
		go func() {
			_, err := c.Read(got)
			ended <- err
		}()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("read on: %v", err)
		default:
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		wg.Wait()
	})
}

func TestSizes(t *testing.T) {
	sent := &pb.RangeRequest{Key: []byte("a")}
	data, err := sizes{}.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	if err := (sizes{}).Unmarshal(data, &size); err != nil || size != proto.Size(sent) {
		t.Errorf("%d bytes, %v", size, err)
	}
	if _, err := (sizes{}).Marshal(1); err == nil {
		t.Error("a number is no message")
	}
}
