package rangeraft

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// sampled fills a sample with what draw returns, as a hot range's requests do.
func sampled(n int, draw func() proto.Span) *recent {
	c := &recent{}
	at := time.Unix(1, 0)
	for range n {
		at = at.Add(sampleLife)
		c.add(draw(), at)
	}
	return c
}

func halves(c *recent, span proto.Span) string {
	k, _ := keys.UserKey(loadSplitPoint(span, c.within(span)))
	return string(k)
}

func TestSplitByLoadHalvesTheRequests(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	// Most requests go to the last tenth of the keys.
	c := sampled(3000, func() proto.Span {
		if rng.IntN(5) > 0 {
			return userPoint(fmt.Sprintf("k%03d", 900+rng.IntN(100)))
		}
		return userPoint(fmt.Sprintf("k%03d", rng.IntN(900)))
	})
	if len(c.places) != samplePlaces {
		t.Fatalf("the sample has %d places", len(c.places))
	}
	if key := halves(c, keys.UserSpan); key < "k905" || key > "k970" {
		t.Errorf("split at %q, want within the hot tenth", key)
	}
}

func TestSplitByLoadOfTwoHotKeysIsBetweenThem(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := sampled(1000, func() proto.Span { return userPoint([]string{"a", "b"}[rng.IntN(2)]) })
	if key := halves(c, keys.UserSpan); key != "b" {
		t.Errorf("split at %q", key)
	}
}

func TestNoSplitByLoad(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mostly := func(hot, cold proto.Span, percent int) func() proto.Span {
		return func() proto.Span {
			if rng.IntN(100) < percent {
				return hot
			}
			return cold
		}
	}
	all := keys.UserRangeSpan([]byte("a"), []byte("z"))
	for name, c := range map[string]*recent{
		"a single hot key":        sampled(1000, func() proto.Span { return userPoint("hot") }),
		"one key has most":        sampled(1000, mostly(userPoint("m"), userPoint("b"), 90)),
		"all read the whole span": sampled(1000, mostly(all, userPoint("c"), 95)),
		"too few requests":        sampled(splitSamples-1, func() proto.Span { return userPoint(fmt.Sprint(rng.IntN(100))) }),
		"nothing":                 {},
	} {
		if key := halves(c, keys.UserSpan); key != "" {
			t.Errorf("%s: split at %q", name, key)
		}
	}
}

// What was asked for before a split must not place the next one.
func TestSamplesOutsideOfTheSpanDoNotCount(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := sampled(1000, func() proto.Span { return userPoint(fmt.Sprintf("k%d", rng.IntN(10))) })
	half := proto.Span{Start: keys.User([]byte("k5")), End: keys.Max}
	if key := halves(c, half); key < "k6" || key > "k9" {
		t.Errorf("split at %q", key)
	}
}

func TestLeaseSpanIsSplitBetweenLeases(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := sampled(1000, func() proto.Span {
		return keys.Point(append(keys.Lease(proto.LeaseID(rng.IntN(1000))), "more"...))
	})
	key := loadSplitPoint(keys.LeaseSpan, c.within(keys.LeaseSpan))
	id, ok := keys.LeaseOf(key)
	if !ok || id < 250 || id > 750 {
		t.Errorf("split at %x", key)
	}
}

// An old sample gives way, at a rate that does not depend on the load.
func TestSamplesLiveForAWhile(t *testing.T) {
	c := sampled(samplePlaces, func() proto.Span { return userPoint("old") })
	at := c.next
	for at.Before(c.next.Add(3 * sampleLife)) {
		at = at.Add(time.Millisecond)
		c.add(userPoint("new"), at)
		if at.After(time.Unix(1, 0).Add(sampleLife * (samplePlaces + 4))) {
			break
		}
	}
	old := 0
	for _, s := range c.within(keys.UserSpan) {
		if bytes.Equal(s.start, keys.User([]byte("old"))) {
			old++
		}
	}
	if old > samplePlaces/6 || old == 0 {
		t.Errorf("%d of %d samples are old after three lives", old, samplePlaces)
	}
}

// splitPoint asks the leader of the user range.
func (c *cluster) splitPoint(by pontoonpb.SplitBy) string {
	c.t.Helper()
	l := c.leader(proto.UserRange)
	reply := l.store.Do(context.Background(), &pontoonpb.RangeOp{RangeId: uint64(proto.UserRange), Span: keys.UserSpan.Wire(),
		Op: &pontoonpb.RangeOp_SplitPoint{SplitPoint: &pontoonpb.SplitPointOp{By: by}}})
	if reply.Error != nil {
		c.t.Fatal(reply.Error)
	}
	k, _ := keys.UserKey(reply.GetSplitPoint().GetKey())
	return string(k)
}

func TestSplitPointOfARange(t *testing.T) {
	c := newCluster(t, 1, nil)
	if key := c.splitPoint(pontoonpb.SplitBy_SPLIT_BY_SIZE); key != "" {
		t.Fatalf("an empty range is split at %q", key)
	}
	c.put("k00", "a")
	for range 20 {
		c.put("k00", strings.Repeat("x", 1000)) // many versions of one key are not cut apart
	}
	if key := c.splitPoint(pontoonpb.SplitBy_SPLIT_BY_SIZE); key != "" {
		t.Fatalf("a range of one key is split at %q", key)
	}
	for i := 1; i < 60; i++ {
		c.put(fmt.Sprintf("k%02d", i), strings.Repeat("x", 1000))
	}
	if key := c.splitPoint(pontoonpb.SplitBy_SPLIT_BY_SIZE); key < "k15" || key > "k25" {
		t.Fatalf("split by size at %q; 20 of 80 values belong to the first key", key)
	}
	if key := c.splitPoint(pontoonpb.SplitBy_SPLIT_BY_LOAD); key > "k00" && key < "k10" {
		t.Fatalf("split by load at %q", key)
	}
	st := c.leader(proto.UserRange).store.Report(0).Led
	if len(st) != 1 || st[0].Load.GetWritesPerSecond() <= 0 || st[0].Load.WriteBytesPerSecond < 1000 || st[0].Load.Busy <= 0 {
		t.Fatalf("report: %v", st)
	}
	if st[0].SizeBytes < 40_000 {
		t.Fatalf("80 values of 1000 bytes, still in the memtable, are %d bytes", st[0].SizeBytes)
	}
}

func TestSplitPointIsAskedOfTheLeader(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("a", "1")
	l := c.leader(proto.UserRange)
	for _, nd := range c.nodes {
		if nd == l {
			continue
		}
		reply := nd.store.replica(proto.UserRange).doSplitPoint(&pontoonpb.SplitPointOp{})
		if reply.GetError().GetCode() != pontoonpb.RangeErrorCode_NOT_LEADER {
			t.Errorf("a follower answers %v", reply)
		}
		if n := len(nd.store.Report(0).Led); n != 0 {
			t.Errorf("a follower reports %d ranges", n)
		}
	}
}
